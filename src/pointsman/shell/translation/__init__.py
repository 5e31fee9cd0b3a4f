"""Requests to another vendor's model: a worker process translates with LiteLLM, which is never imported in the gateway."""
