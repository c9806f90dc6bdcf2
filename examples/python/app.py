"""The smallest stack: one model on Bedrock, with a fixed reply for when it fails, a tier and an API key."""

from aws_cdk import App, CfnOutput, Stack
from cdk_llm_serving import Backend, LlmServing, Model

app = App()
stack = Stack(app, "Chat")

serving = LlmServing(
    stack,
    "Serving",
    models=[
        Model(
            stack,
            "Assistant",
            backends=[
                Backend.bedrock("amazon.nova-lite-v1:0"),
                Backend.static_reply("Please try again in a minute."),
            ],
        )
    ],
)

CfnOutput(stack, "BaseUrl", value=serving.url)

app.synth()
