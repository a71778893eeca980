"""The worker: traffic and nothing else. `chat.py` is the life of one chat request; read it first."""
