import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Duration, Size, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { Schedule } from 'aws-cdk-lib/aws-applicationautoscaling';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import { BottleRocketImage, Cluster, ContainerImage, ContainerInsights } from 'aws-cdk-lib/aws-ecs';
import { describe, expect, test } from 'vitest';
import {
  Backend,
  Gateway,
  GatewayCompute,
  GpuCapacity,
  KvOffloading,
  Model,
  type ModelFleetProps,
  ModelWeights,
  ServingEngine,
  ServingVpc,
  Tier,
  TokenPrice,
} from '../../../lib';
import { newStack, statements, synthesize } from '../fixture.ts';
import { fleetIn, fleetTemplate, L40S, vpcOf } from './fixture.ts';

describe('the load balancer', () => {
  const { template } = fleetTemplate();

  test('is internal, and lets three paths through', () => {
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::LoadBalancer', { Scheme: 'internal' });
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
      DefaultActions: [
        { Type: 'fixed-response', FixedResponseConfig: { StatusCode: '404', ContentType: 'application/json' } },
      ],
    });
    template.resourceCountIs('AWS::ElasticLoadBalancingV2::ListenerRule', 1);
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::ListenerRule', {
      Conditions: [
        {
          Field: 'path-pattern',
          PathPatternConfig: { Values: ['/v1/chat/completions', '/v1/completions', '/v1/models'] },
        },
      ],
    });
  });

  test('gives a request to the task with least to do, a conversation to the one that knows it', () => {
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', {
      TargetType: 'ip',
      TargetGroupAttributes: Match.arrayWith([
        { Key: 'deregistration_delay.timeout_seconds', Value: '900' },
        { Key: 'stickiness.enabled', Value: 'true' },
        { Key: 'stickiness.type', Value: 'lb_cookie' },
        { Key: 'stickiness.lb_cookie.duration_seconds', Value: '3600' },
        { Key: 'load_balancing.algorithm.type', Value: 'least_outstanding_requests' },
      ]),
    });
  });

  test('lets nobody in before there is a gateway', () => {
    const ingress = Object.values(template.findResources('AWS::EC2::SecurityGroup')).flatMap(
      ({ Properties }) => Properties.SecurityGroupIngress ?? [],
    );
    expect(ingress).toEqual([]);
    // From the load balancer to the tasks.
    template.resourceCountIs('AWS::EC2::SecurityGroupIngress', 1);
    template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', { FromPort: 8000, ToPort: 8000 });
  });
});

describe('the service', () => {
  test('rolls back what fails, gives weights their time, and has its fixed number of tasks', () => {
    const { template } = fleetTemplate();
    template.hasResourceProperties('AWS::ECS::Service', {
      DesiredCount: 1,
      HealthCheckGracePeriodSeconds: 1200,
      DeploymentConfiguration: {
        DeploymentCircuitBreaker: { Enable: true, Rollback: true },
        MinimumHealthyPercent: 100,
        MaximumPercent: 200,
      },
    });
    template.resourceCountIs('AWS::ApplicationAutoScaling::ScalableTarget', 0);
  });

  test('leaves the number of tasks to scaling, which a deployment would set back', () => {
    const { template } = fleetTemplate({ scaling: { minTasks: 1, maxTasks: 2 } });
    template.hasResourceProperties('AWS::ECS::Service', { DesiredCount: Match.absent() });
    template.resourceCountIs('AWS::ApplicationAutoScaling::ScalableTarget', 1);
  });

  test('comes when the cluster knows its capacity provider', () => {
    const [service] = Object.values(fleetTemplate().template.findResources('AWS::ECS::Service'));
    const { template } = fleetTemplate();
    const [association] = Object.keys(template.findResources('AWS::ECS::ClusterCapacityProviderAssociations'));
    expect(service?.DependsOn).toContain(association);
  });

  test('may replace tasks one after the other on a fixed number of GPUs', () => {
    const { template } = fleetTemplate({
      minHealthyPercent: 0,
      maxHealthyPercent: 100,
      scaling: { minTasks: 2, maxTasks: 3 },
    });
    template.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', { MinSize: '0', MaxSize: '3' });
  });

  test('ends a task in order: engine, then ECS, then load balancer', () => {
    const { engine } = fleetTemplate({
      engine: ServingEngine.vllm({ shutdownTimeout: Duration.seconds(40) }),
      stopTimeout: Duration.seconds(60),
      deregistrationDelay: Duration.seconds(90),
    });
    expect(engine.Command).toEqual(expect.arrayContaining(['--shutdown-timeout', '40']));
    expect(engine.StopTimeout).toBe(60);
  });
});

describe('capacity', () => {
  test('is an Auto Scaling group with a launch template, IMDSv2 and an encrypted disk', () => {
    const { template } = fleetTemplate({ scaling: { maxTasks: 3 } });
    template.resourceCountIs('AWS::AutoScaling::LaunchConfiguration', 0);
    template.hasResourceProperties('AWS::EC2::LaunchTemplate', {
      LaunchTemplateData: {
        MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 },
        BlockDeviceMappings: [{ Ebs: { Encrypted: true, VolumeSize: 200, VolumeType: 'gp3' } }],
      },
    });
    template.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', {
      MinSize: '0',
      MaxSize: '6',
      NewInstancesProtectedFromScaleIn: true,
      MixedInstancesPolicy: { InstancesDistribution: { OnDemandPercentageAboveBaseCapacity: 100 } },
    });
    template.hasResourceProperties('AWS::ECS::CapacityProvider', {
      AutoScalingGroupProvider: { ManagedDraining: 'ENABLED', ManagedTerminationProtection: 'ENABLED' },
    });
  });

  const userData = (props: Parameters<typeof fleetTemplate>[0] = {}) =>
    JSON.stringify(fleetTemplate(props).template.findResources('AWS::EC2::LaunchTemplate'));

  test("keeps tasks away from the instance's role: a hop limit doesn't, where tasks have network interfaces", () => {
    expect(userData()).toContain('ECS_AWSVPC_BLOCK_IMDS=true');
  });

  describe('makes one cache of NVMe disks', () => {
    const ran = (disks: readonly string[], missing: readonly string[] = []) => {
      const { template } = fleetTemplate();
      const [launchTemplate] = Object.values(template.findResources('AWS::EC2::LaunchTemplate'));
      const { 'Fn::Base64': userData } = launchTemplate?.Properties.LaunchTemplateData.UserData ?? {};
      const [first] = userData['Fn::Join'][1];
      const folder = mkdtempSync(join(tmpdir(), 'instance-'));
      const write = (name: string, text: string) =>
        writeFileSync(join(folder, name), `#!/bin/sh\n${text}`, { mode: 0o755 });
      write('lsblk', disks.map((disk) => `echo '${disk} Amazon EC2 NVMe Instance Storage'`).join('\n'));
      for (const name of ['mdadm', 'mkfs.xfs', 'mount', 'dnf']) {
        if (name === 'mdadm' && missing.includes(name)) continue;
        write(name, missing.includes(name) ? 'exit 1' : `echo ${name} "$@" >> ${folder}/ran`);
      }
      for (const name of ['mkdir', 'chmod', 'awk', 'wc', 'cut']) symlinkSync(`/usr/bin/${name}`, join(folder, name));
      const script = String(first).replaceAll('/var/lib/', `${folder}/`).replaceAll('/etc/ecs/ecs.config', '/dev/null');
      expect(spawnSync('/bin/bash', ['-c', script], { env: { PATH: folder } }).status).toBe(0);
      const log = existsSync(`${folder}/ran`) ? readFileSync(`${folder}/ran`, 'utf8') : undefined;
      rmSync(folder, { recursive: true });
      return log === undefined ? [] : log.replaceAll(folder, '').split('\n');
    };

    test('of one as it is, of none where there is none', () => {
      expect(ran(['nvme1n1'])).toEqual(['mkfs.xfs -f /dev/nvme1n1', 'mount /dev/nvme1n1 /model-cache', '']);
      expect(ran([])).toEqual([]);
    });

    test('of several by joining them', () => {
      expect(ran(['nvme1n1', 'nvme2n1'])).toEqual([
        'mdadm --create /dev/md0 --run --level=0 --raid-devices=2 /dev/nvme1n1 /dev/nvme2n1',
        'mkfs.xfs -f /dev/md0',
        'mount /dev/md0 /model-cache',
        '',
      ]);
    });

    test('with a tool that the image has not, or of the first one where it cannot be had', () => {
      expect(ran(['nvme1n1', 'nvme2n1'], ['mdadm'])).toContain('dnf install -y --setopt=retries=2 mdadm');
      expect(ran(['nvme1n1', 'nvme2n1'], ['mdadm', 'dnf'])).toEqual([
        'mkfs.xfs -f /dev/nvme1n1',
        'mount /dev/nvme1n1 /model-cache',
        '',
      ]);
    });
  });

  test('refuses Bottlerocket, which runs no script of its user', () => {
    const make = () => GpuCapacity.ec2({ instanceTypes: [L40S], machineImage: new BottleRocketImage() });
    expect(make).toThrow(/^machineImage must not be Bottlerocket/);
  });

  test.each(['g7e.12xlarge', 'gr6.4xlarge', 'g4dn.4xlarge', 'p6-b200.48xlarge'])('knows %s', (type) => {
    expect(() => GpuCapacity.ec2({ instanceTypes: [new InstanceType(type)] })).not.toThrow();
  });

  test('takes every type that is named on Managed Instances, whatever it costs beside the cheapest', () => {
    const types = [new InstanceType('g6.xlarge'), new InstanceType('g6e.xlarge')];
    const limits = (spot: boolean) => {
      const { template } = fleetTemplate({ capacity: GpuCapacity.managedInstances({ instanceTypes: types, spot }) });
      const [provider] = Object.values(template.findResources('AWS::ECS::CapacityProvider'));
      return provider?.Properties.ManagedInstancesProvider.InstanceLaunchTemplate.InstanceRequirements;
    };
    expect(limits(false)).toMatchObject({ OnDemandMaxPricePercentageOverLowestPrice: 999999 });
    expect(limits(true)).toMatchObject({ SpotMaxPricePercentageOverLowestPrice: 999999 });
  });

  test('may be Spot, drained when it is taken back', () => {
    const capacity = GpuCapacity.ec2({
      instanceTypes: [L40S, new InstanceType('g5.xlarge')],
      spot: true,
      onDemandBase: 1,
    });
    const { template } = fleetTemplate({ capacity });
    template.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', {
      CapacityRebalance: true,
      MixedInstancesPolicy: {
        InstancesDistribution: {
          OnDemandBaseCapacity: 1,
          OnDemandPercentageAboveBaseCapacity: 0,
          SpotAllocationStrategy: 'price-capacity-optimized',
        },
        LaunchTemplate: { Overrides: [{ InstanceType: 'g6e.xlarge' }, { InstanceType: 'g5.xlarge' }] },
      },
    });
    expect(JSON.stringify(template.findResources('AWS::EC2::LaunchTemplate'))).toContain(
      'ECS_ENABLE_SPOT_INSTANCE_DRAINING=true',
    );
  });

  test('has as many instances as tasks need that share them', () => {
    const capacity = GpuCapacity.ec2({ instanceTypes: [new InstanceType('g6e.12xlarge')] });
    const { template, fleet } = fleetTemplate({ capacity, scaling: { maxTasks: 6 } });
    template.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', { MaxSize: '3' });
    expect(Backend.fleet(fleet).price.inputUsd).toBeCloseTo(10.49264 / 4, 4);
  });

  test('may be instances that ECS manages', () => {
    const { template, task } = fleetTemplate({ capacity: GpuCapacity.managedInstances({ instanceTypes: [L40S] }) });
    template.resourceCountIs('AWS::AutoScaling::AutoScalingGroup', 0);
    template.hasResourceProperties('AWS::ECS::CapacityProvider', {
      ManagedInstancesProvider: {
        InstanceLaunchTemplate: { InstanceRequirements: { AllowedInstanceTypes: ['g6e.xlarge'] } },
      },
    });
    expect(task).toMatchObject({ RequiresCompatibilities: ['MANAGED_INSTANCES'], Volumes: [{ Name: 'cache' }] });
    expect(task?.Volumes[0].Host).toBeUndefined();
  });
});

describe('scaling', () => {
  const { template } = fleetTemplate({ scaling: { minTasks: 0, maxTasks: 4, idleTimeout: Duration.minutes(30) } });
  const policy = (props: object) => template.hasResourceProperties('AWS::ApplicationAutoScaling::ScalingPolicy', props);

  test('aims at a number of requests on a task, and at most doubles or halves the fleet at once', () => {
    policy({
      PolicyType: 'TargetTrackingScaling',
      TargetTrackingScalingPolicyConfiguration: {
        TargetValue: 8,
        ScaleOutCooldown: 480,
        ScaleInCooldown: 600,
        CustomizedMetricSpecification: {
          Metrics: Match.arrayWith([
            Match.objectLike({
              Expression: 'IF(running + waiting > 16, 16, IF(running + waiting < 4, 4, running + waiting))',
              ReturnData: true,
            }),
            Match.objectLike({
              Id: 'running',
              MetricStat: {
                Metric: {
                  MetricName: 'vllm:num_requests_running',
                  Namespace: 'LlmServing/Test-Chat',
                  Dimensions: [{ Name: 'fleet', Value: 'chat' }],
                },
                Stat: 'Average',
              },
            }),
          ]),
        },
      },
    });
  });

  test('waits for the tasks that it has added before it adds more', () => {
    const slow = fleetTemplate({ scaling: { maxTasks: 4, taskStartTime: Duration.minutes(12) } }).template;
    const cooldowns = Object.values(slow.findResources('AWS::ApplicationAutoScaling::ScalingPolicy')).map(
      ({ Properties: { StepScalingPolicyConfiguration: step, TargetTrackingScalingPolicyConfiguration: track } }) =>
        step?.Cooldown ?? track.ScaleOutCooldown,
    );
    expect(cooldowns).toEqual([840, 840]);
  });

  test('steps up on a queue', () => {
    policy({
      StepScalingPolicyConfiguration: {
        AdjustmentType: 'ChangeInCapacity',
        Cooldown: 480,
        StepAdjustments: [
          { MetricIntervalLowerBound: 0, MetricIntervalUpperBound: 15, ScalingAdjustment: 1 },
          { MetricIntervalLowerBound: 15, ScalingAdjustment: 2 },
        ],
      },
    });
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'vllm:num_requests_waiting',
      Threshold: 5,
      Period: 60,
    });
  });

  test('wakes with one task when a request found none, and waits until it has started', () => {
    policy({ StepScalingPolicyConfiguration: { AdjustmentType: 'ChangeInCapacity', Cooldown: 1200 } });
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'Unserved',
      Dimensions: [{ Name: 'fleet', Value: 'chat' }],
      ComparisonOperator: 'GreaterThanOrEqualToThreshold',
      Threshold: 1,
      Period: 60,
      EvaluationPeriods: 1,
      TreatMissingData: 'notBreaching',
    });
  });

  test('does not sleep before a slow task has started', () => {
    const slow = fleetTemplate({ scaling: { minTasks: 0, taskStartTime: Duration.minutes(25) } }).template;
    slow.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'Demand', EvaluationPeriods: 25 });
  });

  test('sleeps when nobody has asked for the idle time', () => {
    policy({
      StepScalingPolicyConfiguration: {
        AdjustmentType: 'ExactCapacity',
        StepAdjustments: [{ MetricIntervalUpperBound: 0, ScalingAdjustment: 0 }],
      },
    });
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'Demand',
      ComparisonOperator: 'LessThanOrEqualToThreshold',
      Threshold: 0,
      Period: 60,
      EvaluationPeriods: 30,
      TreatMissingData: 'breaching',
    });
    template.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', { MinCapacity: 0, MaxCapacity: 4 });
  });

  test('wakes for a queue too, which keeps it awake', () => {
    const depth = new Metric({ namespace: 'AWS/SQS', metricName: 'Depth', period: Duration.minutes(1) });
    const waking = fleetTemplate({ scaling: { minTasks: 0, wakeMetrics: [depth] } }).template;
    waking.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'Depth', Threshold: 1 });
    waking.hasResourceProperties('AWS::CloudWatch::Alarm', {
      TreatMissingData: 'breaching',
      Metrics: Match.arrayWith([Match.objectLike({ Expression: 'FILL(m0, 0) + FILL(m1, 0)' })]),
    });
  });

  test('keeps to other limits at other times', () => {
    const at = Schedule.cron({ hour: '20', minute: '0' });
    const { template: nights } = fleetTemplate({
      scaling: { maxTasks: 2, schedules: [{ schedule: at, minTasks: 0, maxTasks: 3 }] },
    });
    nights.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', {
      ScheduledActions: [{ Schedule: 'cron(0 20 * * ? *)', ScalableTargetAction: { MinCapacity: 0, MaxCapacity: 3 } }],
    });
    nights.hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', { MaxSize: '6' });
  });
});

describe('a schedule with no task at least', () => {
  const at = Schedule.cron({ hour: '20', minute: '0' });

  test('lets the fleet sleep and wake then, though it has a task by day', () => {
    const { template } = fleetTemplate({
      scaling: {
        maxTasks: 2,
        idleTimeout: Duration.minutes(20),
        schedules: [{ schedule: at, minTasks: 0, maxTasks: 2 }],
      },
    });
    template.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'Demand', EvaluationPeriods: 20 });
    template.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'Unserved' });
  });

  test('and none at most needs neither', () => {
    const { template } = fleetTemplate({
      scaling: { maxTasks: 2, schedules: [{ schedule: at, minTasks: 0, maxTasks: 0 }] },
    });
    template.resourcePropertiesCountIs('AWS::CloudWatch::Alarm', { MetricName: 'Demand' }, 0);
  });
});

test("the agent is started again when it ends: without it a fleet doesn't scale", () => {
  const { container } = fleetTemplate();
  expect(container('MetricsAgent').RestartPolicy).toMatchObject({ Enabled: true });
});

describe('as a backend', () => {
  const price = TokenPrice.perMillion({ inputUsd: 1, outputUsd: 2 });

  function served(props: Partial<ModelFleetProps> = {}) {
    return synthesize({}, (stack) => {
      const fleet = fleetIn(stack, props);
      return {
        compute: GatewayCompute.lambda({ vpc: fleet.vpc, provisionedConcurrency: 1 }),
        models: [new Model(stack, 'Model', { modelName: 'm', backends: [Backend.fleet(fleet)] })],
        tiers: [new Tier(stack, 'Gold', { priority: 10 }), new Tier(stack, 'Silver')],
      };
    });
  }

  test('is steered by its gateway, with its key and a price made of its hours', () => {
    const { config, environment, template } = served();
    expect(config.models[0]?.backends).toEqual([
      {
        kind: 'openai-compatible',
        id: 'fleet-chat',
        price: { input: 1.861, output: 1.861, cachedInput: 1.861, cacheWrite: 1.861 },
        deadlines: { connectMs: 3000, firstTokenMs: 120_000, betweenTokensMs: 60_000 },
        contextWindow: 8192,
        baseUrl: { env: 'LLM_FLEET_CHAT_URL' },
        model: 'Qwen/Qwen3-8B',
        auth: { type: 'secret', secretArn: { env: 'LLM_FLEET_CHAT_SECRET' } },
        headers: {},
        unsupportedParameters: ['tools', 'tool_choice'],
        maxTokensParameter: 'max_tokens',
        streamUsage: true,
        fleet: {
          name: 'chat',
          metricsNamespace: 'LlmServing/Test-Chat',
          engine: 'vllm',
          cacheSalt: true,
          priority: 'lower-first',
          stickySeconds: 3600,
          maxTasks: 1,
          retryAfterMs: 30_000,
        },
      },
    ]);
    expect(config.tiers).toEqual([{ name: 'gold', priority: 10 }, { name: 'silver' }]);
    expect(environment.LLM_FLEET_CHAT_URL).toEqual({
      'Fn::Join': ['', ['http://', { 'Fn::GetAtt': [expect.stringMatching(/LoadBalancer/), 'DNSName'] }, '/v1']],
    });
    expect(statements(template, 'secretsmanager:')).toHaveLength(2);
  });

  test('lets in the function of its gateway and nobody else', () => {
    const { template, stack } = served();
    // Whose security group lets everything out already.
    Annotations.fromStack(stack).hasNoWarning('*', Match.stringLikeRegexp('Ignoring Egress rule'));
    const rules = Object.values(template.findResources('AWS::EC2::SecurityGroupIngress')).map(
      (rule) => rule.Properties,
    );
    expect(rules.filter(({ FromPort }) => FromPort === 80)).toMatchObject([
      { SourceSecurityGroupId: { 'Fn::GetAtt': [expect.stringMatching(/^GatewayHandler.*SecurityGroup/), 'GroupId'] } },
    ]);
    expect(rules).toHaveLength(2);
  });

  test('may be in another stack than its gateway', () => {
    const app = new App();
    const fleets = new Stack(app, 'Fleets');
    const fleet = fleetIn(fleets);
    const gateways = new Stack(app, 'Gateways');
    new Gateway(gateways, 'Gateway', {
      compute: GatewayCompute.lambda({ vpc: fleet.vpc }),
      models: [new Model(gateways, 'Model', { backends: [Backend.fleet(fleet)] })],
      tiers: [new Tier(gateways, 'Tier')],
    });
    Template.fromStack(gateways).hasResourceProperties('AWS::EC2::SecurityGroupIngress', { FromPort: 80, ToPort: 80 });
    expect(fleets.dependencies).toEqual([]);
  });

  test('works with a gateway on Managed Instances', () => {
    const { template } = synthesize({}, (stack) => {
      const fleet = fleetIn(stack);
      return {
        compute: GatewayCompute.managedInstances({ vpc: fleet.vpc }),
        models: [new Model(stack, 'Model', { modelName: 'm', backends: [Backend.fleet(fleet)] })],
      };
    });
    template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', {
      FromPort: 80,
      SourceSecurityGroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('InstancesSecurityGroup'), 'GroupId'] },
    });
  });

  test('has the price that it is given, or what its tokens an hour make', () => {
    const fleet = fleetIn(newStack());
    expect(Backend.fleet(fleet, { price }).price).toBe(price);
    expect(Backend.fleet(fleet, { expectedTokensPerHour: 2_000_000 }).price.inputUsd).toBe(0.9305);
    const own = fleetIn(newStack(), { capacity: GpuCapacity.ec2({ instanceTypes: [L40S], hourlyPriceUsd: 1 }) });
    expect(Backend.fleet(own).price.outputUsd).toBe(1);
  });

  test('costs the given share of on-demand on Spot, and warns when nobody says which', () => {
    const spot = (options: object) =>
      fleetTemplate({ capacity: GpuCapacity.ec2({ instanceTypes: [L40S], spot: true, ...options }) });
    const priceOf = (options: object) => Backend.fleet(spot(options).fleet).price.inputUsd;
    expect(priceOf({ spotPriceFactor: 0.4 })).toBeCloseTo(0.4 * 1.861, 6);
    expect(priceOf({ hourlyPriceUsd: 2, spotPriceFactor: 0.5 })).toBe(1);
    expect(priceOf({})).toBe(1.861);
    // The first requests meet the instance that is on-demand.
    expect(priceOf({ spotPriceFactor: 0.4, onDemandBase: 1 })).toBe(1.861);
    const managed = GpuCapacity.managedInstances({ instanceTypes: [L40S], spot: true, spotPriceFactor: 0.25 });
    expect(Backend.fleet(fleetTemplate({ capacity: managed }).fleet).price.inputUsd).toBeCloseTo(0.25 * 1.861, 5);
    const warnings = (options: object) =>
      Annotations.fromStack(spot(options).stack).findWarning('*', Match.stringLikeRegexp('pass spotPriceFactor'));
    expect(warnings({})).toHaveLength(1);
    expect(warnings({ spotPriceFactor: 1 })).toHaveLength(0);
    expect(warnings({ hourlyPriceUsd: 0.7 })).toHaveLength(0);
  });

  test('needs a price where none is known', () => {
    const capacity = GpuCapacity.ec2({ instanceTypes: [new InstanceType('p5e.48xlarge')] });
    const fleet = fleetIn(newStack(), { capacity });
    expect(() => Backend.fleet(fleet)).toThrow(
      /^no hourly price is known for the instances of fleet "chat": pass hourlyPriceUsd/,
    );
  });

  test('needs a gateway in its VPC', () => {
    expect(() =>
      synthesize({}, (stack) => ({
        models: [new Model(stack, 'Model', { modelName: 'm', backends: [Backend.fleet(fleetIn(stack))] })],
      })),
    ).toThrow(/^fleet "chat" can be reached from inside its VPC only.*pass compute: GatewayCompute.lambda/);
  });
});

describe('warns', () => {
  const warnings = (props: Partial<ModelFleetProps>) => {
    const stack = newStack();
    fleetIn(stack, props);
    return Annotations.fromStack(stack)
      .findWarning('*', Match.anyValue())
      .map(({ entry }) => String(entry.data))
      .filter((text) => text.includes('cdk-llm-serving:'));
  };
  const on = (type: string) => GpuCapacity.ec2({ instanceTypes: [new InstanceType(type)] });

  test('of a model that does not fit, by how much, and of what would', () => {
    const weights = ModelWeights.huggingFace('Qwen/Qwen3-32B');
    const [warning = ''] = warnings({ weights, capacity: on('g6e.xlarge') });
    expect(warning).toMatch(
      /^Qwen\/Qwen3-32B does not fit on 1 GPU\(s\) of g6e.xlarge: it needs 61.1 GiB of weights and 2.0 GiB of KV cache for 8192 tokens, and the engine has 39.1 GiB: 24.0 GiB are missing\. It would fit on /,
    );
    expect(warning).toMatch(/tensorParallelSize: 4|with tensorParallelSize: 2/);
  });

  test('of a context whose KV cache does not fit, not of one that does', () => {
    const engine = (contextLength: number) => ServingEngine.vllm({ contextLength });
    expect(warnings({ engine: engine(32768), capacity: on('g6.xlarge') })).toHaveLength(1);
    expect(warnings({ engine: engine(16384), capacity: on('g6.xlarge') })).toEqual([]);
    const fp8 = ServingEngine.vllm({ contextLength: 40960, quantization: 'fp8', kvCacheDtype: 'fp8' });
    expect(warnings({ engine: fp8, capacity: on('g6.xlarge') })).toEqual([]);
  });

  test("of a context that isn't limited, for vLLM holds the model's whole one or doesn't start", () => {
    const [warning = ''] = warnings({ engine: ServingEngine.vllm(), capacity: on('g6.xlarge') });
    expect(warning).toMatch(/KV cache for 40960 tokens.*contextLength: 2\d{4} fits/);
    // SGLang serves what fits.
    expect(warnings({ engine: ServingEngine.sglang(), capacity: on('g6.xlarge') })).toEqual([]);
  });

  test('of a context beyond what the model was trained for', () => {
    const engine = ServingEngine.vllm({ contextLength: 65536 });
    const [warning = ''] = warnings({ engine });
    expect(warning).toMatch(/^contextLength \(65536\) is more than the 40960 tokens that Qwen\/Qwen3-8B takes/);
    const size = { parametersBillions: 8, maxContextLength: 100_000 };
    expect(warnings({ engine, weights: ModelWeights.huggingFace('a/b', { size }) })).toEqual([]);
  });

  test('of what weights take that are quantized already', () => {
    const size = { parametersBillions: 32.8, kvCacheKiBPerToken: 256 };
    const repository = (bitsPerParameter?: number) =>
      ModelWeights.huggingFace('Qwen/Qwen3-32B-AWQ', { size: { ...size, bitsPerParameter } });
    expect(warnings({ weights: repository() })).toHaveLength(1);
    expect(warnings({ weights: repository(4.5) })).toEqual([]);
    expect(warnings({ weights: repository(4.5), engine: ServingEngine.tensorRtLlm({ contextLength: 8192 }) })).toEqual(
      [],
    );
  });

  test("of LMCache, whose connector doesn't keep consumers apart", () => {
    const offloading = { contextLength: 8192, kvOffloadingSize: Size.gibibytes(8) };
    expect(warnings({ engine: ServingEngine.vllm(offloading) })).toEqual([]);
    const engine = ServingEngine.vllm({ ...offloading, kvOffloadingBackend: KvOffloading.LMCACHE });
    expect(warnings({ engine })).toEqual([expect.stringMatching(/^LMCache .* cache_salt/)]);
  });

  test('of a cluster that publishes no number of tasks', () => {
    const stack = newStack();
    const vpc = vpcOf(stack);
    fleetIn(stack, { vpc, cluster: new Cluster(stack, 'Shared', { vpc }) });
    Annotations.fromStack(stack).hasWarning('*', Match.stringLikeRegexp('has no Container Insights'));
    const other = newStack();
    const cluster = new Cluster(other, 'Shared', {
      vpc: vpcOf(other),
      containerInsightsV2: ContainerInsights.ENHANCED,
    });
    fleetIn(other, { vpc: cluster.vpc, cluster });
    Annotations.fromStack(other).hasNoWarning('*', Match.stringLikeRegexp('Container Insights'));
  });

  test('of nothing where the size is unknown', () => {
    expect(warnings({ weights: ModelWeights.huggingFace('a/b'), capacity: on('g4dn.xlarge') })).toEqual([]);
  });

  test('of what has to come from the internet into a VPC without a way there', () => {
    const stack = newStack();
    fleetIn(stack, { vpc: new ServingVpc(stack, 'Own', { natGateways: 0 }).vpc });
    Annotations.fromStack(stack).hasWarning(
      '*',
      Match.stringLikeRegexp("fetches weights of Hugging Face, its engine's image .*, agentImage of"),
    );
  });
});

describe('metrics', () => {
  test('of the engine and of the gateway have the fleet as dimension', () => {
    const { fleet } = fleetTemplate();
    const dimensions = { fleet: 'chat' };
    expect(fleet.metricWaiting()).toMatchObject({
      metricName: 'vllm:num_requests_waiting',
      statistic: 'Average',
      dimensions,
    });
    expect(fleet.metricDemand()).toMatchObject({ metricName: 'Demand', statistic: 'Sum', dimensions });
    expect(fleet.metricKvCacheUsage()).toMatchObject({ metricName: 'vllm:kv_cache_usage_perc' });
    expect(fleet.metricPrefixCacheHitRate()).toMatchObject({ expression: '100 * hits / queries' });
    expect(fleet.metricTasks()).toMatchObject({ namespace: 'ECS/ContainerInsights', metricName: 'RunningTaskCount' });
    expect(fleet.metricGpuHours()).toMatchObject({ expression: 'tasks * 1', period: Duration.hours(1) });
  });

  test('that an engine has not are refused', () => {
    const { fleet } = fleetTemplate({ engine: ServingEngine.tgi() });
    expect(() => fleet.metricKvCacheUsage()).toThrow(/^engine "tgi" has no metric for that/);
  });
});

const OTHER = ServingEngine.openAiCompatible({ image: ContainerImage.fromRegistry('a'), port: 1 });

test.each<[string, () => Partial<ModelFleetProps>, RegExp]>([
  ['a name in capitals', () => ({ fleetName: 'Chat' }), /^fleetName must be 1–32 lower-case/],
  ['no task to spare', () => ({ minHealthyPercent: 100, maxHealthyPercent: 100 }), /must not both be 100/],
  [
    'a stop before the engine has ended',
    () => ({ stopTimeout: Duration.seconds(100) }),
    /^stopTimeout \(100 s\) must be longer/,
  ],
  ['a stop beyond what ECS waits', () => ({ stopTimeout: Duration.minutes(3) }), /^stopTimeout must be between/],
  [
    'a delay shorter than the stop',
    () => ({ deregistrationDelay: Duration.minutes(1) }),
    /^deregistrationDelay \(60 s\) must/,
  ],
  [
    'idle connections of an hour and more',
    () => ({ idleConnectionTimeout: Duration.hours(2) }),
    /^idleConnectionTimeout/,
  ],
  ['no time to start', () => ({ startTimeout: Duration.seconds(1) }), /^startTimeout must be between/],
  [
    'more tasks at least than at most',
    () => ({ scaling: { minTasks: 3, maxTasks: 2 } }),
    /^maxTasks \(2\) must not be less/,
  ],
  [
    'an idle time of a fleet that never sleeps',
    () => ({ scaling: { idleTimeout: Duration.hours(1) } }),
    /^idleTimeout needs minTasks: 0, of the fleet or of a schedule/,
  ],
  [
    'an idle time shorter than a request',
    () => ({ scaling: { minTasks: 0, idleTimeout: Duration.minutes(5) } }),
    /^idleTimeout must be between 15 minutes/,
  ],
  [
    'a target for a load that is not known',
    () => ({ engine: OTHER, scaling: { targetRequestsPerTask: 5 } }),
    /^targetRequestsPerTask needs an engine whose metrics are known/,
  ],
  [
    'a sleep that comes before the first task serves',
    () => ({ scaling: { minTasks: 0, taskStartTime: Duration.minutes(25), idleTimeout: Duration.minutes(20) } }),
    /^idleTimeout \(20 minutes\) must not be shorter than taskStartTime \(25 minutes\)/,
  ],
  [
    'a share that leaves no task to replace one',
    () => ({ minHealthyPercent: 100, maxHealthyPercent: 150 }),
    /^minHealthyPercent \(100\) and maxHealthyPercent \(150\) leave no room to replace a task of 1: .*200/,
  ],
  [
    'more memory for offloading than a task has',
    () => ({ engine: ServingEngine.vllm({ kvOffloadingSize: Size.gibibytes(64) }) }),
    /^kvOffloadingSize \(64 GiB\) is more than the 25.6 GiB of memory that a task has/,
  ],
  [
    'GPUs that an instance has not',
    () => ({ engine: ServingEngine.vllm({ tensorParallelSize: 2 }) }),
    /^instanceTypes has "g6e.xlarge" with 1 GPU\(s\), but a task needs 2/,
  ],
])('refuses %s', (_, props, message) => {
  expect(() => fleetIn(newStack(), props())).toThrow(message);
});

test.each<[string, () => unknown, RegExp]>([
  ['no type', () => GpuCapacity.ec2({ instanceTypes: [] }), /^instanceTypes must name at least one type/],
  ['a type twice', () => GpuCapacity.ec2({ instanceTypes: [L40S, L40S] }), /^instanceTypes must not repeat/],
  [
    'a type without GPUs',
    () => GpuCapacity.ec2({ instanceTypes: [new InstanceType('m7i.large')] }),
    /no known GPU type: use one of g4dn/,
  ],
  [
    'an on-demand base without Spot',
    () => GpuCapacity.ec2({ instanceTypes: [L40S], onDemandBase: 1 }),
    /^onDemandBase needs spot/,
  ],
  [
    "a Spot price of more than on-demand's",
    () => GpuCapacity.ec2({ instanceTypes: [L40S], spot: true, spotPriceFactor: 1.2 }),
    /^spotPriceFactor must be a number between 0\.01 and 1, got 1\.2/,
  ],
  [
    'a Spot price without Spot',
    () => GpuCapacity.managedInstances({ instanceTypes: [L40S], spotPriceFactor: 0.5 }),
    /^spotPriceFactor needs spot/,
  ],
  ['a negative price', () => GpuCapacity.ec2({ instanceTypes: [L40S], hourlyPriceUsd: -1 }), /^hourlyPriceUsd must be/],
  ['a priority beyond 100', () => new Tier(newStack(), 'T', { priority: 101 }), /^priority must be a whole number/],
])('refuses %s', (_, make, message) => {
  expect(make).toThrow(message);
});

test('a VPC without NAT leads to the services that the path needs', () => {
  const stack = newStack();
  new ServingVpc(stack, 'Own', { natGateways: 0 });
  const template = Template.fromStack(stack);
  template.resourceCountIs('AWS::EC2::NatGateway', 0);
  template.resourceCountIs('AWS::EC2::InternetGateway', 0);
  // Two of them are gateways, for S3 and DynamoDB.
  template.resourceCountIs('AWS::EC2::VPCEndpoint', 10);
});
