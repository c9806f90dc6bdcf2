import { expect, test } from 'vitest';
import { graphOf, type Resource } from '../../scripts/picture/graph.ts';
import { mermaidOf } from '../../scripts/picture/mermaid.ts';

const of = (Type: string, path: string, Properties: Record<string, unknown> = {}): Resource => ({
  Type,
  Properties,
  Metadata: { 'aws:cdk:path': `Stack/${path}/Resource` },
});
const ref = (id: string) => ({ Ref: id });
const arn = (id: string) => ({ 'Fn::GetAtt': [id, 'Arn'] });

test('finds who reaches whom through roles, methods, listeners and event sources', () => {
  const { nodes, edges } = graphOf({
    Resources: {
      Api: of('AWS::ApiGateway::RestApi', 'Api'),
      Post: of('AWS::ApiGateway::Method', 'Api/POST', {
        RestApiId: ref('Api'),
        Integration: { Uri: { 'Fn::Sub': `arn:aws:apigateway:lambda:path/\${Handler.Arn}/invocations` } },
      }),
      Handler: of('AWS::Lambda::Function', 'Handler', { Role: arn('Role'), VpcConfig: { SubnetIds: [ref('Subnet')] } }),
      Subnet: of('AWS::EC2::Subnet', 'Subnet'),
      Role: of('AWS::IAM::Role', 'Role'),
      Policy: of('AWS::IAM::Policy', 'Policy', {
        Roles: [ref('Role')],
        PolicyDocument: {
          Statement: [
            { Action: 'sqs:SendMessage', Resource: arn('Queue') },
            { Action: ['bedrock:InvokeModel'], Resource: 'arn:aws:bedrock:us-east-1::foundation-model/m' },
          ],
        },
      }),
      Queue: of('AWS::SQS::Queue', 'Queue', { RedrivePolicy: { deadLetterTargetArn: arn('Dead') } }),
      Dead: of('AWS::SQS::Queue', 'Dead'),
      Mapping: of('AWS::Lambda::EventSourceMapping', 'Mapping', {
        EventSourceArn: arn('Queue'),
        FunctionName: ref('Worker'),
      }),
      Worker: of('AWS::Lambda::Function', 'Worker'),
      Balancer: of('AWS::ElasticLoadBalancingV2::LoadBalancer', 'Balancer'),
      Listener: of('AWS::ElasticLoadBalancingV2::Listener', 'Listener', {
        LoadBalancerArn: ref('Balancer'),
        DefaultActions: [{ TargetGroupArn: ref('Targets') }],
      }),
      Targets: of('AWS::ElasticLoadBalancingV2::TargetGroup', 'Targets'),
      Service: of('AWS::ECS::Service', 'Service', { LoadBalancers: [{ TargetGroupArn: ref('Targets') }] }),
    },
  });
  expect(edges.map(({ from, to }) => `${from} > ${to}`).sort()).toEqual([
    'Api > Handler',
    'Balancer > Service',
    'Handler > Amazon Bedrock',
    'Handler > Queue',
    'Queue > Dead',
    'Queue > Worker',
  ]);
  expect(nodes.filter(({ inVpc }) => inVpc).map(({ path }) => path)).toEqual(['Handler']);
});

test('draws a VPC around what is in it, one arrow for both directions, and alarms that do the same once', () => {
  const alarm = (path: string) =>
    of('AWS::CloudWatch::Alarm', path, {
      AlarmActions: [ref('Topic')],
      // What it watches isn't what it reaches.
      Dimensions: [{ Name: 'QueueName', Value: ref('Jobs') }],
    });
  const picture = mermaidOf(
    graphOf({
      Resources: {
        Jobs: of('AWS::SQS::Queue', 'Jobs'),
        Worker: of('AWS::Lambda::Function', 'Jobs/Worker', {
          Environment: { QUEUE: ref('Jobs') },
          VpcConfig: ref('Subnet'),
        }),
        Source: of('AWS::Lambda::EventSourceMapping', 'Source', {
          EventSourceArn: arn('Jobs'),
          FunctionName: ref('Worker'),
        }),
        Subnet: of('AWS::EC2::Subnet', 'Subnet'),
        Topic: of('AWS::SNS::Topic', 'Topic'),
        Oldest: alarm('Jobs/Oldest'),
        Depth: alarm('Jobs/Depth'),
      },
    }),
  );
  expect(picture).toBe(`flowchart LR
  n1[["SQS queue<br>Jobs"]]
  n3>"SNS topic<br>Topic"]
  n4{{"2 CloudWatch alarms<br>Jobs"}}
  subgraph VPC
    n2["Lambda<br>Jobs/Worker"]
  end
  n1 <--> n2
  n4 --> n3`);
});
