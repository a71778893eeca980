"""How a credential is written into a request's headers, by a deployment's `auth`.

It must not know where the credential comes from.
"""

from collections.abc import Callable

from fairlead.canonical.routing import Auth

AUTH: dict[Auth, Callable[[str], tuple[tuple[str, str], ...]]] = {
    "bearer": lambda secret: (("authorization", f"Bearer {secret}"),),
    "x-api-key": lambda secret: (("x-api-key", secret),),
    "api-key": lambda secret: (("api-key", secret),),
    "none": lambda _: (),
}
