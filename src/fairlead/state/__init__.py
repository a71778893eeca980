"""What the processes of one machine share: the board of workers' figures and the published configuration.

It knows how values travel between processes. It must not know what they decide.
"""
