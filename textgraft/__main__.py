"`python -m textgraft` is the command `textgraft`"
import sys

from textgraft.course.command import main

if __name__ == '__main__': sys.exit(main())
