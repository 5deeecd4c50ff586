"""Streaming synthesis with word timings, one voice per language."""
