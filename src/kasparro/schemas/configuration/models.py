"""The whole configuration as one model. The field descriptions of all models are the reference documentation."""

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from kasparro.schemas.configuration.alerts import Alerts
from kasparro.schemas.configuration.api import ApiSourceConfig
from kasparro.schemas.configuration.choice import by_type
from kasparro.schemas.configuration.csv import CsvSourceConfig
from kasparro.schemas.configuration.rss import RssSourceConfig
from kasparro.schemas.configuration.strict import Strict

AnySourceConfig = ApiSourceConfig | CsvSourceConfig | RssSourceConfig
SOURCE_MODELS: dict[str, type[AnySourceConfig]] = {
    "api": ApiSourceConfig,
    "csv": CsvSourceConfig,
    "rss": RssSourceConfig,
}
"""Types that this version can read."""

TypedSource = Annotated[
    Annotated[ApiSourceConfig, Tag("<api>")]
    | Annotated[CsvSourceConfig, Tag("<csv>")]
    | Annotated[RssSourceConfig, Tag("<rss>")],
    Discriminator(by_type(CsvSourceConfig, ApiSourceConfig, RssSourceConfig)),
]


class Configuration(Strict):
    """The whole of `kasparro.yaml`."""

    sources: Annotated[tuple[TypedSource, ...], Field(min_length=1)]
    """Where records come from; read independently of each other."""
    alerts: Alerts = Alerts()
    """Who is told when something is wrong, and when it is over."""

    def source(self, name: str) -> AnySourceConfig | None:
        """The source of that name."""
        return next((source for source in self.sources if source.name == name), None)
