"""`provider/model` + the providers of the configuration + the catalog → canonical deployments.

It must not know routes: a deployment is the same wherever it is used.
"""

import msgspec

from fairlead.canonical import routing
from fairlead.canonical.usage import Price
from fairlead.catalog.table import Catalog, ProviderRow
from fairlead.config import model
from fairlead.config.prices import agreed, order_of, own_price
from fairlead.config.problems import Findings, did_you_mean
from fairlead.config.secrets import Secret

_LATER_KINDS = ("azure", "bedrock", "gemini", "vertex", "cohere")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of the configuration, its catalog row applied."""

    name: str
    path: str
    """Where the configuration has it, or first uses it."""
    row: ProviderRow
    known_as: str | None
    """The catalog's name for it, where the catalog's models and prices hold."""
    settings: model.Provider
    secret: Secret | None
    """What its credential is; None: it has none."""
    candidates: tuple[str, ...] = ()
    """Environment variables that would hold the credential, where nothing else is said."""

    @property
    def needs_credential(self) -> bool:
        return bool(self.candidates) or self.secret is not None


def endpoints(config: model.Config, catalog: Catalog, findings: Findings) -> dict[str, Endpoint]:
    """Every provider that the configuration names, also those that need no entry: catalog rows used in routes."""
    found = {
        name: _endpoint(name, settings, catalog, findings, path=f"providers.{name}")
        for name, settings in config.providers.items()
    }
    for place, route in enumerate(config.routes):
        for index, deployment in enumerate(route.deployments):
            name = deployment.use.partition("/")[0]
            if name in catalog.providers and name not in found:
                path = findings.known(f"routes[{place}].deployments[{index}].use")
                found[name] = _endpoint(name, model.Provider(), catalog, findings, path=path)
    return {name: endpoint for name, endpoint in found.items() if endpoint is not None}


def deployment_of(
    spec: model.Deployment, known: dict[str, Endpoint], catalog: Catalog, findings: Findings, *, path: str
) -> routing.Deployment | None:
    """The deployment that `spec` names, or None once `findings` say that its provider is unknown."""
    provider, _, model_id = spec.use.partition("/")
    endpoint = known.get(provider)
    if endpoint is None:
        names = [*known, *catalog.providers]
        hint = did_you_mean(provider, names) or "; add it under providers"
        findings.error(path, f"unknown provider {provider!r}{hint}")
        return None
    row = catalog.models.get((endpoint.known_as or "", model_id))
    settings = endpoint.settings
    return routing.Deployment(
        name=spec.use,
        provider=provider,
        model=model_id,
        dialect=endpoint.row.dialect,
        base_url=settings.base_url or endpoint.row.base_url,
        auth=_auth(endpoint),
        credential=provider if endpoint.needs_credential else "",
        headers=tuple(sorted(settings.headers.items())),
        api_version=settings.api_version or endpoint.row.api_version,
        ca=settings.ca,
        client_cert=settings.client_cert,
        proxy=settings.proxy,
        max_connections=settings.max_connections,
        region=settings.region,
        self_hosted=_either(settings.self_hosted, endpoint.row.self_hosted) or False,
        price=_price(spec, endpoint, catalog, findings, path=path),
        context=spec.context or (row.context if row else None),
        max_output=spec.max_output or (row.max_output if row else None),
        tools=_either(spec.tools, row.tools if row else None),
        vision=_either(spec.vision, row.vision if row else None),
    )


def _endpoint(
    name: str, settings: model.Provider, catalog: Catalog, findings: Findings, *, path: str
) -> Endpoint | None:
    kind = settings.kind or name
    row = catalog.providers.get(kind)
    if row is None:
        _unknown_kind(settings, path, catalog, findings)
        return None
    _check_agreement(settings, findings, path)
    own_url = settings.base_url is None
    candidates = row.keys if own_url and settings.api_key is None and settings.auth != "none" else ()
    return Endpoint(
        name=name,
        path=path,
        row=row,
        known_as=kind if own_url or name == kind else None,
        settings=settings,
        secret=settings.api_key,
        candidates=candidates,
    )


def _unknown_kind(settings: model.Provider, path: str, catalog: Catalog, findings: Findings) -> None:
    name, kind = path.partition(".")[2], settings.kind
    if kind is None:
        hint = (
            did_you_mean(name, catalog.providers)
            or "; a server of your own needs kind: openai or anthropic, and base_url"
        )
        findings.error(path, f"the catalog has no provider {name!r}{hint}")
    elif kind in _LATER_KINDS:
        findings.error(f"{path}.kind", f"this version of Fairlead does not have kind {kind!r} yet")
    else:
        hint = did_you_mean(kind, catalog.providers) or f"; write one of {', '.join(catalog.providers)}"
        findings.error(f"{path}.kind", f"unknown kind {kind!r}{hint}")


def _auth(endpoint: Endpoint) -> routing.Auth:
    if endpoint.settings.auth is not None:
        return endpoint.settings.auth
    if not endpoint.needs_credential:
        return "none"
    return "bearer" if endpoint.row.auth == "none" else endpoint.row.auth


def known_price(endpoint: Endpoint, model_id: str, catalog: Catalog) -> Price | None:
    """What the provider charges for a model of the catalog, as agreed with it."""
    price = catalog.price(endpoint.known_as or "", model_id)
    return None if price is None else agreed(price, endpoint.settings.discount, endpoint.settings.markup)


def _price(
    spec: model.Deployment, endpoint: Endpoint, catalog: Catalog, findings: Findings, *, path: str
) -> Price | None:
    _check_agreement(spec, findings, path)
    if spec.price is not None:
        wrong = order_of(spec.price)
        if wrong is not None:
            findings.error(f"{path}.price", wrong)
        return own_price(spec.price)
    if spec.discount is None and spec.markup is None:
        return known_price(endpoint, spec.use.partition("/")[2], catalog)
    price = catalog.price(endpoint.known_as or "", spec.use.partition("/")[2])
    return None if price is None else agreed(price, spec.discount, spec.markup)


def _check_agreement(said: model.Deployment | model.Provider, findings: Findings, path: str) -> None:
    """A discount or a markup, of a price of the catalog's, and no more than all of it."""
    if said.discount is not None and said.markup is not None:
        findings.error(f"{path}.markup", "there is a discount too; write one of them")
    if said.discount is not None and float(said.discount.removesuffix("%")) > 100:
        findings.error(f"{path}.discount", f"{said.discount} is more than the whole price; write 0% to 100%")
    if isinstance(said, model.Deployment) and said.price is not None:
        for key in ("discount", "markup"):
            if getattr(said, key) is not None:
                findings.error(
                    f"{path}.{key}", "price says what it costs; write the price after it, or leave price out"
                )


def _either(own: bool | None, catalogs: bool | None) -> bool | None:
    return catalogs if own is None else own
