"""The check at "done": noticing and offering it, running it in the agent's tree, reading its report, telling agent and person."""
