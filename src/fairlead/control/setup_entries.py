"""What the configuration that holds now says, on the admin port: `tiers`, `routes` and `config` under `/admin/v1`.

It knows paths and the shape of an answer. Secrets are shown as they are everywhere: not at all.
"""

from typing import Any

from fairlead.canonical.routing import Choice, Route
from fairlead.canonical.tenants import Tier
from fairlead.config.limits import written_limits
from fairlead.config.model import Config
from fairlead.config.schema import written
from fairlead.config.shape import record_of
from fairlead.control.admin import Answer, Call, Entry
from fairlead.control.configuring import Configuring


class SetupEntries:
    """What the admin port answers about the configuration."""

    def __init__(self, config: Configuring) -> None:
        self._config = config

    def entries(self) -> tuple[Entry, ...]:
        return (
            Entry(method="GET", path="/admin/v1/tiers", run=self._tiers),
            Entry(method="GET", path="/admin/v1/routes", run=self._routes),
            Entry(method="GET", path="/admin/v1/config", run=self._whole),
        )

    async def _tiers(self, call: Call) -> Answer:
        call.query(frozenset())
        return Answer({"tiers": [_tier(tier) for tier in self._config.serving.tiers.values()]})

    async def _routes(self, call: Call) -> Answer:
        call.query(frozenset())
        return Answer({"routes": [_route(route) for route in self._config.serving.routes]})

    async def _whole(self, call: Call) -> Answer:
        call.query(frozenset())
        config = self._config.config
        shown = None if config is None else _without_headers(written(record_of(Config), config))
        return Answer({"version": self._config.serving.version, "config": shown})


def _without_headers(config: dict[str, Any]) -> dict[str, Any]:
    """A header of a provider may be what lets its bearer in."""
    for provider in config["providers"].values():
        provider["headers"] = dict.fromkeys(provider["headers"], "***")
    return config


def _tier(tier: Tier) -> dict[str, Any]:
    return {"name": tier.name, "limits": written_limits(tier.limits), "models": tier.models}


def _route(route: Route) -> dict[str, Any]:
    return {"model": route.model, "select": route.select, "deployments": [_choice(choice) for choice in route.choices]}


def _choice(choice: Choice) -> dict[str, Any]:
    deployment = choice.deployment
    return {
        "name": deployment.name,
        "priority": choice.rank + 1,
        "weight": choice.weight,
        "dialect": deployment.dialect,
        "region": deployment.region,
        "self_hosted": deployment.self_hosted,
        "price": deployment.price,
        "context": deployment.context,
        "max_output": deployment.max_output,
    }
