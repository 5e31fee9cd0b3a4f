"""``python -m pointsman``: the same as the ``pointsman`` command."""

from pointsman.cli import main

raise SystemExit(main())
