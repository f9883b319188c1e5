"""Server of gradio, which makes tools of functions: python gradio_server.py http PORT"""

import sys
import time

import gradio as gr


def echo(text: str) -> str:
    """Gives the text back.

    Args:
        text: What comes back.
    """
    return text


def fail() -> str:
    """Fails."""
    raise gr.Error("it failed")


def progress(steps: int, report=gr.Progress()) -> str:
    """Reports each step.

    Args:
        steps: How many.
    """
    for step in range(1, int(steps) + 1):
        report((step, int(steps)), desc=f"step {step}")
        time.sleep(0.3)
    return "done"


with gr.Blocks() as page:
    gr.api(echo)
    gr.api(fail)
    gr.api(progress)

page.launch(server_name="127.0.0.1", server_port=int(sys.argv[2]), mcp_server=True, quiet=True)
