import { type Stack, Token } from 'aws-cdk-lib';
import { Match, type Template } from 'aws-cdk-lib/assertions';
import { InstanceType, SecurityGroup, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { describe, expect, test } from 'vitest';
import { GatewayCompute, type LambdaComputeOptions, type ManagedInstancesComputeOptions } from '../../lib';
import { logicalId, newStack, statements, synthesize } from './fixture.ts';

function integrationUris(template: Template): string[] {
  return Object.values(template.findResources('AWS::ApiGateway::Method')).map(({ Properties }) =>
    JSON.stringify(Properties.Integration.Uri),
  );
}

describe('a change of compute', () => {
  const inVpc = (make: (vpc: Vpc) => GatewayCompute) =>
    synthesize({}, (stack) => ({ compute: make(new Vpc(stack, 'Vpc')) }));
  const idOf = ({ template }: ReturnType<typeof synthesize>, type: string) => Object.keys(template.findResources(type));
  const onDemand = inVpc(() => GatewayCompute.lambda());
  const managed = inVpc((vpc) => GatewayCompute.managedInstances({ vpc }));
  const warm = inVpc(() => GatewayCompute.lambda({ provisionedConcurrency: 1 }));

  test('to managed instances or from them makes another function, for Lambda refuses to change it', () => {
    expect(logicalId(managed.stack, managed.gateway)).not.toBe(logicalId(onDemand.stack, onDemand.gateway));
    expect(logicalId(warm.stack, warm.gateway)).toBe(logicalId(onDemand.stack, onDemand.gateway));
  });

  test('keeps the log and the role', () => {
    for (const type of ['AWS::Logs::LogGroup', 'AWS::IAM::Role']) {
      expect(idOf(managed, type)).toEqual(expect.arrayContaining(idOf(onDemand, type)));
    }
  });

  test('deploys the API again, whose stage would go on calling the old function', () => {
    const deployments = [onDemand, managed, warm].flatMap((of) => idOf(of, 'AWS::ApiGateway::Deployment'));
    expect(new Set(deployments).size).toBe(3);
  });
});

describe('on-demand Lambda', () => {
  test('keeps nothing warm unless told so', () => {
    const { template } = synthesize({ compute: GatewayCompute.lambda() });
    template.resourceCountIs('AWS::Lambda::Alias', 0);
    template.resourceCountIs('AWS::Lambda::Version', 0);
    template.hasResourceProperties('AWS::Lambda::Function', {
      MemorySize: 512,
      ReservedConcurrentExecutions: Match.absent(),
      VpcConfig: Match.absent(),
    });
  });

  test('takes every option, and API Gateway then calls the warm alias', () => {
    const { template } = synthesize({}, (stack) => {
      const vpc = new Vpc(stack, 'Vpc');
      return {
        compute: GatewayCompute.lambda({
          memorySizeMiB: 1024,
          provisionedConcurrency: 5,
          reservedConcurrency: 50,
          vpc,
          vpcSubnets: { subnetType: SubnetType.PRIVATE_WITH_EGRESS },
          securityGroups: [new SecurityGroup(stack, 'Sg', { vpc })],
        }),
      };
    });
    template.hasResourceProperties('AWS::Lambda::Function', {
      MemorySize: 1024,
      ReservedConcurrentExecutions: 50,
      VpcConfig: { SubnetIds: Match.anyValue(), SecurityGroupIds: Match.anyValue() },
    });
    expect(statements(template, 'ec2:')).toEqual([
      {
        Action: [
          'ec2:CreateNetworkInterface',
          'ec2:DescribeNetworkInterfaces',
          'ec2:DescribeSubnets',
          'ec2:DeleteNetworkInterface',
          'ec2:AssignPrivateIpAddresses',
          'ec2:UnassignPrivateIpAddresses',
        ],
        Effect: 'Allow',
        Resource: '*',
      },
    ]);
    expect(JSON.stringify(template.findResources('AWS::IAM::Role'))).not.toContain('AWSLambdaVPCAccessExecutionRole');
    template.hasResourceProperties('AWS::Lambda::Alias', {
      Name: 'live',
      ProvisionedConcurrencyConfig: { ProvisionedConcurrentExecutions: 5 },
    });
    const [alias = ''] = Object.keys(template.findResources('AWS::Lambda::Alias'));
    for (const uri of integrationUris(template)) expect(uri).toContain(alias);
    template.hasResourceProperties('AWS::Lambda::Permission', {
      FunctionName: { Ref: alias },
      Principal: 'apigateway.amazonaws.com',
    });
  });

  test.each<[string, LambdaComputeOptions, RegExp]>([
    ['too little memory', { memorySizeMiB: 64 }, /^memorySizeMiB must be a whole number between 128 and 10240, got 64/],
    ['half an environment', { provisionedConcurrency: 0.5 }, /^provisionedConcurrency must be/],
    ['no concurrency', { reservedConcurrency: 0 }, /^reservedConcurrency must be/],
    [
      'more warm than reserved',
      { provisionedConcurrency: 6, reservedConcurrency: 5 },
      /^provisionedConcurrency \(6\) must not be more than reservedConcurrency \(5\)/,
    ],
    ['subnets of no VPC', { vpcSubnets: {} }, /^vpcSubnets needs vpc/],
    ['security groups of no VPC', { securityGroups: [] }, /^securityGroups needs vpc/],
  ])('refuses %s', (_, options, message) => {
    expect(() => GatewayCompute.lambda(options)).toThrow(message);
  });
});

describe('Lambda Managed Instances', () => {
  test('runs many requests at once in each environment of the same bundle', () => {
    const { template } = synthesize({}, (stack) => ({
      compute: GatewayCompute.managedInstances({ vpc: new Vpc(stack, 'Vpc') }),
    }));
    const [provider] = Object.keys(template.findResources('AWS::Lambda::CapacityProvider'));
    template.hasResourceProperties('AWS::Lambda::CapacityProvider', {
      InstanceRequirements: { Architectures: ['arm64'] },
      VpcConfig: { SubnetIds: Match.anyValue(), SecurityGroupIds: Match.anyValue() },
    });
    template.hasResourceProperties('AWS::Lambda::Function', {
      MemorySize: 2048,
      Timeout: 900,
      PublishToLatestPublished: true,
      VpcConfig: Match.absent(),
      CapacityProviderConfig: {
        LambdaManagedInstancesCapacityProviderConfig: {
          CapacityProviderArn: { 'Fn::GetAtt': [provider, 'Arn'] },
          PerExecutionEnvironmentMaxConcurrency: 64,
          ExecutionEnvironmentMemoryGiBPerVCpu: 2,
        },
      },
      FunctionScalingConfig: { MinExecutionEnvironments: 3 },
    });
  });

  test('the instances let nothing in', () => {
    const { template } = synthesize({}, (stack) => ({
      compute: GatewayCompute.managedInstances({ vpc: new Vpc(stack, 'Vpc') }),
    }));
    template.hasResourceProperties('AWS::EC2::SecurityGroup', { SecurityGroupIngress: Match.absent() });
    template.resourceCountIs('AWS::EC2::SecurityGroupIngress', 0);
  });

  test('API Gateway calls the function by its unqualified ARN, which stands for the published version', () => {
    const { template, gateway, stack } = synthesize({}, (scope) => ({
      compute: GatewayCompute.managedInstances({ vpc: new Vpc(scope, 'Vpc') }),
    }));
    template.resourceCountIs('AWS::Lambda::Version', 0);
    const arn = JSON.stringify(stack.resolve(gateway.handler.functionArn));
    for (const uri of integrationUris(template)) expect(uri).toContain(arn);
  });

  test('runs in private subnets with a way out, and asks where to run when there are none', () => {
    const vpcWith = (stack: Stack, ...types: SubnetType[]) =>
      new Vpc(stack, 'Vpc', {
        natGateways: types.includes(SubnetType.PRIVATE_WITH_EGRESS) ? 1 : 0,
        subnetConfiguration: types.map((subnetType) => ({ subnetType, name: subnetType })),
      });
    const { template, stack } = synthesize({}, (scope) => ({
      compute: GatewayCompute.managedInstances({
        vpc: vpcWith(scope, SubnetType.PUBLIC, SubnetType.PRIVATE_WITH_EGRESS, SubnetType.PRIVATE_ISOLATED),
      }),
    }));
    const vpc = stack.node.findChild('Vpc') as Vpc;
    template.hasResourceProperties('AWS::Lambda::CapacityProvider', {
      VpcConfig: { SubnetIds: stack.resolve(vpc.privateSubnets.map(({ subnetId }) => subnetId)) },
    });
    const inside = (scope: Stack) => vpcWith(scope, SubnetType.PUBLIC, SubnetType.PRIVATE_ISOLATED);
    expect(() =>
      synthesize({}, (scope) => ({ compute: GatewayCompute.managedInstances({ vpc: inside(scope) }) })),
    ).toThrow(/^Test\/Vpc has no private subnets with a way out.*: pass vpcSubnets/);
    const vpcSubnets = { subnetType: SubnetType.PRIVATE_ISOLATED };
    expect(() =>
      synthesize({}, (scope) => ({ compute: GatewayCompute.managedInstances({ vpc: inside(scope), vpcSubnets }) })),
    ).not.toThrow();
  });

  test('takes numbers of environments that are known only at deployment, but no such memory', () => {
    const number = Token.asNumber({ Ref: 'Number' });
    const vpc = new Vpc(newStack(), 'Vpc');
    expect(() => GatewayCompute.managedInstances({ vpc, maxEnvironments: number })).not.toThrow();
    expect(() => GatewayCompute.managedInstances({ vpc, minEnvironments: number, maxEnvironments: 5 })).not.toThrow();
    expect(() => GatewayCompute.managedInstances({ vpc, memorySizeMiB: number })).toThrow(
      /^memorySizeMiB must be known at synth, but it is a token: pass a plain number/,
    );
  });

  test('takes every option', () => {
    const { template } = synthesize({}, (stack) => {
      const vpc = new Vpc(stack, 'Vpc');
      return {
        compute: GatewayCompute.managedInstances({
          vpc,
          vpcSubnets: { subnetType: SubnetType.PUBLIC },
          securityGroups: [new SecurityGroup(stack, 'Sg', { vpc })],
          memorySizeMiB: 4096,
          maxConcurrency: 100,
          minEnvironments: 1,
          maxEnvironments: 9,
          maxVcpus: 12,
          instanceTypes: [new InstanceType('m8g.xlarge')],
        }),
      };
    });
    template.hasResourceProperties('AWS::Lambda::CapacityProvider', {
      InstanceRequirements: { Architectures: ['arm64'], AllowedInstanceTypes: ['m8g.xlarge'] },
      CapacityProviderScalingConfig: { MaxVCpuCount: 12 },
    });
    template.hasResourceProperties('AWS::Lambda::Function', {
      MemorySize: 4096,
      CapacityProviderConfig: {
        LambdaManagedInstancesCapacityProviderConfig: { PerExecutionEnvironmentMaxConcurrency: 100 },
      },
      FunctionScalingConfig: { MinExecutionEnvironments: 1, MaxExecutionEnvironments: 9 },
    });
  });

  test.each<[string, Omit<ManagedInstancesComputeOptions, 'vpc'>, RegExp]>([
    ['less than 2 GiB', { memorySizeMiB: 1024 }, /^memorySizeMiB must be a whole number between 2048 and 32768/],
    ['memory that makes half a vCPU', { memorySizeMiB: 3000 }, /^memorySizeMiB must be a multiple of 2048/],
    ['no concurrency', { maxConcurrency: 0 }, /^maxConcurrency must be/],
    ['more than Lambda runs at once', { maxConcurrency: 1601 }, /^maxConcurrency must be/],
    ['less than no environments', { minEnvironments: -1 }, /^minEnvironments must be/],
    ['no environments', { maxEnvironments: 0 }, /^maxEnvironments must be/],
    [
      'fewer at most than at least',
      { maxEnvironments: 2 },
      /^maxEnvironments \(2\) must not be less than minEnvironments \(3\)/,
    ],
    ['too few vCPUs', { maxVcpus: 11 }, /^maxVcpus must be/],
    ['no instance types', { instanceTypes: [] }, /^instanceTypes must name at least one type/],
    [
      'x86',
      { instanceTypes: [new InstanceType('m7i.large')] },
      /^instanceTypes must be of the arm64 .* got "m7i.large"/,
    ],
  ])('refuses %s', (_, options, message) => {
    const vpc = new Vpc(newStack(), 'Vpc');
    expect(() => GatewayCompute.managedInstances({ vpc, ...options })).toThrow(message);
  });
});
