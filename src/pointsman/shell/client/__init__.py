"""The coding agents: how each is started so that its requests come here, and what is put back afterwards."""
