"""`hubfs`, and `python -m hubfs`."""

import signal


def run() -> None:
    """Be the command that the arguments name.

    Until it has begun there is nothing to tidy up: Ctrl-C ends it as it ends any program.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from hubfs.cli.main import main  # noqa: PLC0415 - a part of what is waited for

    main()


if __name__ == "__main__":
    run()
