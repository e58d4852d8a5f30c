"`textgraft fit` and `textgraft predict` on tables as people have them"
import os

from textgraft.course.command import main
from textgraft.library import ladder as ladder_module

import numpy as np
import pandas as pd
import pytest

WORDS = {'lob': ['großartig', 'schön', 'prima'], 'tadel': ['schlecht', 'öde', 'müde']}
ROWS = [(f'{WORDS[label][i % 3]} war das {place} {i}', label)
        for i in range(12) for label, place in (('lob', 'Bild'), ('tadel', 'Essen'))]
TABLE = pd.DataFrame(ROWS, columns=['Der Text, ganz', 'Stimmung ⭐'])
NAMES = ['--text', 'Der Text, ganz', '--label', 'Stimmung ⭐']
CHEAP = ['--rungs', 'larger class,TF-IDF words', '--lang', 'de']


def fit(table, out, *more):
    return main(['fit', str(table), '--out', str(out), *NAMES, *CHEAP, *more])


def write(table, path):
    "A file as some program would write it"
    kind = path.name.split('.', 1)[1]
    if kind == 'parquet': table.to_parquet(path)
    elif kind == 'tsv.gz': table.to_csv(path, sep='\t', index=False, compression='gzip')
    elif kind == 'excel.csv': table.to_csv(path, sep=';', index=False, encoding='utf-8-sig',
                                           lineterminator='\r\n')
    elif kind == 'latin.csv': table.rename(columns={'Stimmung ⭐': 'Stimmung'}).to_csv(
        path, index=False, encoding='latin-1')
    return path


@pytest.mark.parametrize('name', ['t.parquet', 't.tsv.gz', 't.excel.csv'])
def test_a_table_in_and_answers_out(name, tmp_path, capsys):
    table = write(TABLE, tmp_path/name)
    assert fit(table, tmp_path/'model') == 0
    answers = tmp_path/'answers.csv'
    ask = ['predict', str(tmp_path/'model'), str(table), '--text', NAMES[1], '--out', str(answers)]
    assert main(ask) == 0
    found = pd.read_csv(answers)
    assert (found.label == found['Stimmung ⭐']).mean() > .9
    assert {'lob', 'tadel', 'known'} <= set(found)
    assert 'best by cross-validation: TF-IDF words' in capsys.readouterr().out
    assert main(ask) == 2 # the answers are there already
    assert 'exists already' in capsys.readouterr().err


def test_latin_letters(tmp_path, capsys):
    table = write(TABLE, tmp_path/'t.latin.csv')
    argv = ['fit', str(table), '--text', NAMES[1], '--label', 'Stimmung', '--out',
            str(tmp_path/'m'), *CHEAP]
    assert main(argv) == 2
    assert 'is not utf-8' in capsys.readouterr().err
    assert main([*argv, '--encoding', 'latin-1']) == 0


def test_several_files(tmp_path):
    for i in range(2): TABLE[i::2].to_csv(tmp_path/f'part{i}.csv', index=False)
    assert fit(tmp_path/'part*.csv', tmp_path/'m') == 0


def test_missing_labels(tmp_path, capsys):
    table = TABLE.copy()
    table.loc[3, 'Stimmung ⭐'] = None
    table.to_csv(tmp_path/'t.csv', index=False)
    assert fit(tmp_path/'t.csv', tmp_path/'m') == 2
    assert 'no label in row' in capsys.readouterr().err
    assert fit(tmp_path/'t.csv', tmp_path/'m', '--unlabelled', 'rows') == 0


def test_missing_columns(tmp_path, capsys):
    table = write(TABLE, tmp_path/'t.parquet')
    assert main(['fit', str(table), '--out', str(tmp_path/'m')]) == 2
    assert "no column 'text'" in capsys.readouterr().err
    assert fit(table, tmp_path/'m') == 0
    assert main(['predict', str(tmp_path/'m'), str(table), '--out', str(tmp_path/'a.csv')]) == 2
    said = capsys.readouterr().err
    assert "no column 'text'" in said and 'Der Text, ganz' in said and '--text' in said
    assert not (tmp_path/'a.csv').exists()


def test_outputs_are_tried_first(tmp_path, capsys):
    (tmp_path/'mine').mkdir()
    (tmp_path/'mine'/'notes.txt').write_text('keep', encoding='utf-8')
    (tmp_path/'file').write_text('keep', encoding='utf-8')
    for out in ('mine', 'file', 'file/below'):
        assert main(['fit', 'no-such.csv', '--out', str(tmp_path/out)]) == 2
        assert 'no-such' not in capsys.readouterr().err # the output comes before the table
    assert (tmp_path/'mine'/'notes.txt').read_text(encoding='utf-8') == 'keep'
    assert main(['predict', 'no-model', 'x.csv', '--out', str(tmp_path/'a.docx')]) == 2
    assert 'name it .csv' in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root may write all')
def test_a_folder_that_is_read_only(tmp_path, capsys):
    tmp_path.chmod(0o500)
    assert main(['fit', 'no-such.csv', '--out', str(tmp_path/'m')]) == 2
    assert 'cannot be written' in capsys.readouterr().err


def test_stopping(tmp_path, monkeypatch, capsys):
    def interrupted(*args, **more): raise KeyboardInterrupt
    monkeypatch.setattr(ladder_module, 'ladder', interrupted)
    assert fit(write(TABLE, tmp_path/'t.parquet'), tmp_path/'m') == 130
    assert 'stopped' in capsys.readouterr().err and not (tmp_path/'m').exists()


def test_what_is_wrong_is_one_line(tmp_path, capsys):
    table = str(write(TABLE, tmp_path/'t.parquet'))
    for more in (['--minutes', '0'], ['--folds', '1'], ['--test', 'half'], ['--lang', 'qq'],
                 ['--rungs', 'TF-IDF wrods'], ['--test', '1.5']):
        assert fit(table, tmp_path/'m', *more) == 2, more
        said = capsys.readouterr().err
        assert said.count('\n') == 1 and more[1] in said
    assert not (tmp_path/'m').exists()


def test_a_hundred_and_fifty_classes(tmp_path):
    draw = np.random.default_rng(0)
    rows = [(f'case {draw.integers(99)} of kind{k} and part{draw.integers(9)}', k)
            for k in range(150) for _ in range(6)]
    pd.DataFrame(rows, columns=NAMES[1::2]).to_csv(tmp_path/'t.csv', index=False)
    assert fit(tmp_path/'t.csv', tmp_path/'m') == 0
