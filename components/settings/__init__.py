"""Stack configuration → one frozen, validated model. The only package that reads `pulumi.Config`."""

from components.settings.model import FLOWS, Database, Server, Settings
from components.settings.reading import PROJECT, SettingsError, load, parse, secret

__all__ = ["FLOWS", "PROJECT", "Database", "Server", "Settings", "SettingsError", "load", "parse", "secret"]
