"""A service that several sessions of one process share in tests."""

from __future__ import annotations

from attrs import define, field

from facturaonline_async import Config
from facturaonline_async.sharing import SharedQuota, Store
from tests.core.limits.quotas import QuotaDouble
from tests.core.once.stores import Network, RemoteStore

__all__ = ["SharedDouble"]


@define(eq=False)
class SharedDouble:
    """Service with a quota and a table of creates, either of which may be left out.

    Attributes:
        quota: The quota.
        network: The table, and the network before it; None: creates are not shared.
        store: The store that sessions get; each has the same one.

    """

    quota: SharedQuota | None = field(factory=QuotaDouble)
    network: Network | None = field(factory=Network)
    store: Store | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.store = None if self.network is None else RemoteStore(self.network)

    def creates(self, _: Config) -> Store | None:
        """See `Shared.creates`."""
        return self.store
