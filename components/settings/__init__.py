"""Stack configuration → one frozen, validated model. The only package that reads `pulumi.Config`."""

from components.settings.flows import FLOWS
from components.settings.github import App
from components.settings.model import Server, Settings
from components.settings.problems import PROJECT, SettingsError, problem
from components.settings.reading import load, parse, secret
from components.settings.repositories import DEPLOYING, GitHubRepository

__all__ = [
    "DEPLOYING",
    "FLOWS",
    "PROJECT",
    "App",
    "GitHubRepository",
    "Server",
    "Settings",
    "SettingsError",
    "load",
    "parse",
    "problem",
    "secret",
]
