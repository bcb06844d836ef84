"""`python -m finetune_assets.cli.guarded_webserver`: dagster_webserver with the guard around its application."""

from typing import Any

from dagster_webserver import cli as webserver

from finetune_assets.cli.ui_guard import LOOPBACK, Guard


def main() -> None:
    """Start the webserver; the arguments are dagster-webserver's own."""
    make = webserver.create_app_from_workspace_process_context  # type: ignore[attr-defined]

    def make_guarded(*arguments: Any, **options: Any) -> Any:
        app = make(*arguments, **options)
        app.add_middleware(Guard, hosts=LOOPBACK)
        return app

    webserver.create_app_from_workspace_process_context = make_guarded  # type: ignore[attr-defined]
    webserver.main()  # type: ignore[no-untyped-call]


main()
