"""The gateway's own process: ``python -m pointsman.shell`` is what ``pointsman serve`` becomes (``shell.served``)."""

import sys

from pointsman.shell.served import main

raise SystemExit(main(sys.argv[1:]))
