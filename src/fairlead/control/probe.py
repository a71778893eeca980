"""Whether a provider takes a credential: one cheap question, the list of its models, asked with it.

It must not know where the credential comes from, nor print it.
"""

import asyncio
from typing import Literal
from urllib.parse import urlsplit

from fairlead.canonical.auth import AUTH
from fairlead.canonical.routing import Deployment
from fairlead.dialects.table import DIALECTS
from fairlead.http import fields
from fairlead.http.client import Client
from fairlead.http.errors import UpstreamError
from fairlead.http.origin import Origin

Verdict = Literal["accepted", "refused", "unsure"]

TARGET = "/models"
CONNECT, ANSWER = 5.0, 10.0
"""Seconds."""
LARGEST = 4 * 1024 * 1024


async def probe(deployment: Deployment, secret: str) -> tuple[Verdict, str]:
    """The provider's verdict on `secret`, and what it rests on, in our own words."""
    dialect = DIALECTS[deployment.dialect]
    client = Client()
    try:
        origin = Origin.of(
            deployment.base_url, ca=deployment.ca, client_cert=deployment.client_cert, proxy=deployment.proxy
        )
        lines = fields.encode(
            (
                ("user-agent", "fairlead"),
                *dialect.fields(deployment.api_version),
                *deployment.headers,
                *AUTH[deployment.auth](secret),
            )
        )
        until = asyncio.get_running_loop().time() + CONNECT + ANSWER
        reply = await client.request(
            origin, "GET", urlsplit(deployment.base_url).path.rstrip("/") + TARGET, lines, b"",
            connect=CONNECT, first_byte=ANSWER, idle=ANSWER, deadline=until,
        )  # fmt: skip
    except UpstreamError as error:
        return "unsure", f"the provider does not answer: {error.message}"
    except ValueError:
        return "refused", "it cannot stand in a header"
    finally:
        await client.close()
    if 200 <= reply.status < 300:
        return "accepted", f"status {reply.status}"
    return ("refused" if reply.status in {401, 403} else "unsure"), f"status {reply.status}"
