"""Server of gradio, which makes tools of functions: python gradio_server.py http PORT"""

import sys

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


with gr.Blocks() as page:
    gr.api(echo)
    gr.api(fail)

page.launch(server_name="127.0.0.1", server_port=int(sys.argv[2]), mcp_server=True, quiet=True)
