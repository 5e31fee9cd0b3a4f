"""The terminal screens. ``view`` and its neighbours are pure and need no Textual; ``app`` and its widgets do."""
