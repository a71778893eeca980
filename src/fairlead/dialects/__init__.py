"""Wire formats, one module each: bytes to canonical and back, on either side of the gateway (N+M, never NxM).

Pure: bytes and values in, bytes and values out. A dialect must not know which side it serves, nor any socket.
"""
