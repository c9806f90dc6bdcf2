/** The smallest stack: one model on Bedrock, with a fixed reply for when it fails, a tier and an API key. */
import { App, CfnOutput, Stack } from 'aws-cdk-lib';
import { Backend, LlmServing, Model } from 'cdk-llm-serving';

const app = new App();
const stack = new Stack(app, 'Chat');

const serving = new LlmServing(stack, 'Serving', {
  models: [
    new Model(stack, 'Assistant', {
      backends: [Backend.bedrock('amazon.nova-lite-v1:0'), Backend.staticReply('Please try again in a minute.')],
    }),
  ],
});

new CfnOutput(stack, 'BaseUrl', { value: serving.url });
