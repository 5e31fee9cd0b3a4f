"""A provider that fails before its first content: the fallback graph, its circuit breakers, one request on its way."""
