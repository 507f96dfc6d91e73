"""What the web needs to know, apart from the service it serves."""

from __future__ import annotations

from dataclasses import dataclass

from cyme_supd.config import Config


@dataclass(frozen=True, slots=True)
class Settings:
    """``host`` and ``port`` are what it listens on; ``server_names`` are further
    names it answers to; ``cors_origins`` the sites that may call it.

    ``processes`` times ``threads`` requests are served at a time. ``api_rate``
    is how many one client may make a second; 0 is any number. One that
    ``is_exposed`` can be reached from other hosts: nobody unknown is let in. One that
    ``is_insecure`` lets in everybody as long as nobody is known, wherever they are.
    ``trusted_proxies`` are addresses and networks of proxies that are believed.
    """

    branch: str
    host: str = "127.0.0.1"
    port: int = 8000
    server_names: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    processes: int = 2
    threads: int = 32
    api_rate: int = 0
    is_exposed: bool = False
    is_insecure: bool = False
    trusted_proxies: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: Config) -> Settings:
        return cls(
            branch=config.id,
            host=config.host,
            port=config.port,
            server_names=config.server_names,
            cors_origins=config.cors_origins,
            api_rate=config.api_rate,
            is_exposed=config.is_exposed,
            is_insecure=config.is_insecure,
            trusted_proxies=config.trusted_proxies,
        )

    @property
    def max_waits(self) -> int:
        """How many requests of one process may wait at a time: half its threads."""
        return max(1, self.threads // 2)

    @property
    def bind(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
