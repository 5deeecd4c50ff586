"""Conversation engine, session, language models, and the command line."""
