/**
 * The gateway alone, before an OpenAI-compatible server of your own in your own VPC, with keys that your customers have
 * already.
 */
import { App, CfnOutput, Duration, Stack } from 'aws-cdk-lib';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { Backend, Consumer, Gateway, GatewayCompute, Model, Tier, TokenPrice } from 'cdk-llm-serving';

const app = new App();
const stack = new Stack(app, 'OwnServer');

const vpc = Vpc.fromVpcAttributes(stack, 'Vpc', {
  vpcId: 'vpc-0123456789abcdef0',
  availabilityZones: ['us-east-1a', 'us-east-1b'],
  privateSubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
});

const partners = new Tier(stack, 'Partners', { requestsPerSecond: 20 });
Consumer.fromApiKeyAttributes(stack, 'Acme', { apiKeyId: 'a1b2c3d4e5', tier: partners });

const gateway = new Gateway(stack, 'Gateway', {
  compute: GatewayCompute.lambda({ vpc }),
  tiers: [partners],
  models: [
    new Model(stack, 'Chat', {
      backends: [
        Backend.openAiCompatible('http://llm.internal.example.com:8000/v1', {
          allowHttp: true,
          model: 'meta-llama/Llama-3.1-8B-Instruct',
          price: TokenPrice.perMillion({ inputUsd: 0.05, outputUsd: 0.1 }),
          firstTokenTimeout: Duration.seconds(15),
        }),
      ],
    }),
  ],
});

new CfnOutput(stack, 'BaseUrl', { value: gateway.url });
