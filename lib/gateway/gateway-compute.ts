import { Token } from 'aws-cdk-lib';
import type { InstanceType } from 'aws-cdk-lib/aws-ec2';
import {
  Connections,
  type ISecurityGroup,
  type ISubnet,
  type IVpc,
  SecurityGroup,
  type SubnetSelection,
} from 'aws-cdk-lib/aws-ec2';
import {
  Alias,
  Architecture,
  CapacityProvider,
  InstanceTypeFilter,
  type Function as LambdaFunction,
} from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { acknowledgeManagedPolicy } from '../private/acknowledge';
import type { ComputeFunctionProps, ComputeTarget, FunctionNetwork } from '../private/compute-function-props';
import { requireInteger, requireKnown } from '../private/validation';

/** Options of on-demand Lambda. */
export interface LambdaComputeOptions {
  /**
   * Memory in MiB, 128–10240. CPU comes with it.
   *
   * @default 512
   */
  readonly memorySizeMiB?: number;

  /**
   * Environments that are kept warm, and paid for, at all times.
   *
   * @default - none: the first request of an environment waits for a cold start, idle costs nothing
   */
  readonly provisionedConcurrency?: number;

  /**
   * The most requests that run at once, taken from the account's pool: a ceiling for the bill, and a share that
   * no other function can take.
   *
   * @default - the account's pool
   */
  readonly reservedConcurrency?: number;

  /**
   * The VPC to run in, for backends that are reachable only from there. It needs a way to Bedrock, Secrets Manager
   * and whatever else the backends are: a NAT gateway or VPC endpoints.
   *
   * @default - no VPC
   */
  readonly vpc?: IVpc;

  /**
   * Which of the VPC's subnets.
   *
   * @default - the private ones
   */
  readonly vpcSubnets?: SubnetSelection;

  /**
   * The function's security groups in the VPC.
   *
   * @default - a new one that lets everything out
   */
  readonly securityGroups?: ISecurityGroup[];
}

/** Options of Lambda Managed Instances. */
export interface ManagedInstancesComputeOptions {
  /**
   * The VPC that the instances run in. They reach Bedrock, Secrets Manager, CloudWatch Logs and the backends
   * through it: by a NAT gateway or VPC endpoints.
   */
  readonly vpc: IVpc;

  /**
   * Which of the VPC's subnets; at least one, at most 16.
   *
   * @default - the private ones with a way out; a VPC without any needs them named, and VPC endpoints
   */
  readonly vpcSubnets?: SubnetSelection;

  /**
   * The instances' security groups; at most 5.
   *
   * @default - a new one that lets everything out and nothing in
   */
  readonly securityGroups?: ISecurityGroup[];

  /**
   * Memory of one environment in MiB, 2048–32768. There is one vCPU for every 2 GiB.
   *
   * @default 2048
   */
  readonly memorySizeMiB?: number;

  /**
   * How many requests run at once in one environment, 1–1600. A request mostly waits for tokens.
   *
   * @default 64 - for each vCPU of an environment, Lambda's own default for Node.js
   */
  readonly maxConcurrency?: number;

  /**
   * Environments that always run. Three spread over as many availability zones.
   *
   * @default 3
   */
  readonly minEnvironments?: number;

  /**
   * Environments at most.
   *
   * @default - as many as `maxVcpus` allows
   */
  readonly maxEnvironments?: number;

  /**
   * vCPUs of all instances at most, 12–15000: a ceiling for the bill.
   *
   * @default - Lambda's own: 400
   */
  readonly maxVcpus?: number;

  /**
   * The instance types to use, of the arm64 architecture.
   *
   * @default - Lambda chooses
   */
  readonly instanceTypes?: InstanceType[];
}

/**
 * What the gateway's function runs on.
 *
 * A streaming request holds its environment while it waits for tokens. On-demand Lambda gives each request one of its
 * own: nothing to pay when idle, dear when thousands stream at once. Managed Instances run many in one.
 */
export abstract class GatewayCompute {
  /** On-demand Lambda: one request at a time in each environment; idle costs nothing. */
  public static lambda(options: LambdaComputeOptions = {}): GatewayCompute {
    return new LambdaCompute(options);
  }

  /** Lambda Managed Instances: many requests at once in each environment, on EC2 instances that Lambda runs. */
  public static managedInstances(options: ManagedInstancesComputeOptions): GatewayCompute {
    return new ManagedInstancesCompute(options);
  }

  /** @internal */
  public abstract _functionProps(): ComputeFunctionProps;

  /**
   * The same in this VPC, unless it has one of its own.
   *
   * @internal
   */
  public abstract _inVpc(vpc: IVpc): GatewayCompute;

  /** @internal */
  public abstract _target(scope: Construct, fn: LambdaFunction): ComputeTarget;

  /**
   * Where another function has to be that calls the same backends.
   *
   * @internal
   */
  public abstract _network(): FunctionNetwork;
}

class LambdaCompute extends GatewayCompute {
  constructor(private readonly options: LambdaComputeOptions) {
    super();
    requireInteger('memorySizeMiB', options.memorySizeMiB, 128, 10240);
    requireInteger('provisionedConcurrency', options.provisionedConcurrency, 1);
    requireInteger('reservedConcurrency', options.reservedConcurrency, 1);
    const { provisionedConcurrency, reservedConcurrency } = options;
    if (
      provisionedConcurrency !== undefined &&
      reservedConcurrency !== undefined &&
      !Token.isUnresolved(provisionedConcurrency) &&
      !Token.isUnresolved(reservedConcurrency) &&
      provisionedConcurrency > reservedConcurrency
    ) {
      throw new Error(
        `provisionedConcurrency (${provisionedConcurrency}) must not be more than reservedConcurrency (${reservedConcurrency})`,
      );
    }
    for (const prop of ['vpcSubnets', 'securityGroups'] as const) {
      if (options[prop] !== undefined && options.vpc === undefined) throw new Error(`${prop} needs vpc`);
    }
  }

  /** @internal */
  public override _functionProps(): ComputeFunctionProps {
    return {
      functionId: 'Resource',
      memorySize: this.options.memorySizeMiB ?? 512,
      reservedConcurrentExecutions: this.options.reservedConcurrency,
      vpc: this.options.vpc,
      vpcSubnets: this.options.vpcSubnets,
      securityGroups: this.options.securityGroups,
    };
  }

  /** @internal */
  public override _inVpc(vpc: IVpc): GatewayCompute {
    return new LambdaCompute({ vpc, ...this.options });
  }

  /** @internal */
  public override _network(): FunctionNetwork {
    const { vpc, vpcSubnets, securityGroups } = this.options;
    return { vpc, vpcSubnets, securityGroups };
  }

  /** @internal */
  public override _target(scope: Construct, fn: LambdaFunction): ComputeTarget {
    const { provisionedConcurrency, vpc } = this.options;
    const connections = vpc && fn.connections;
    if (provisionedConcurrency === undefined) return { invoked: fn, connections };
    const invoked = new Alias(scope, 'Alias', {
      aliasName: 'live',
      version: fn.currentVersion,
      provisionedConcurrentExecutions: provisionedConcurrency,
    });
    return { invoked, connections };
  }
}

/** The least memory of a vCPU, which suits functions that wait more than they hold. */
const MIB_PER_VCPU = 2048;

class ManagedInstancesCompute extends GatewayCompute {
  constructor(private readonly options: ManagedInstancesComputeOptions) {
    super();
    // https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances.html
    requireKnown('memorySizeMiB', options.memorySizeMiB);
    requireInteger('memorySizeMiB', options.memorySizeMiB, 2048, 32768);
    requireInteger('maxConcurrency', options.maxConcurrency, 1, 1600);
    requireInteger('minEnvironments', options.minEnvironments, 0, 15000);
    requireInteger('maxEnvironments', options.maxEnvironments, 1, 15000);
    requireInteger('maxVcpus', options.maxVcpus, 12, 15000);
    if (this.memorySize % MIB_PER_VCPU !== 0) {
      throw new Error(
        `memorySizeMiB must be a multiple of ${MIB_PER_VCPU}, which go with one vCPU, got ${this.memorySize}`,
      );
    }
    const { maxEnvironments } = options;
    if (
      maxEnvironments !== undefined &&
      !Token.isUnresolved(maxEnvironments) &&
      !Token.isUnresolved(this.minEnvironments) &&
      maxEnvironments < this.minEnvironments
    ) {
      throw new Error(
        `maxEnvironments (${maxEnvironments}) must not be less than minEnvironments (${this.minEnvironments})`,
      );
    }
    if (options.instanceTypes?.length === 0) {
      throw new Error('instanceTypes must name at least one type: leave it out to let Lambda choose');
    }
    for (const type of options.instanceTypes ?? []) {
      if (type.architecture.toString() !== 'arm64') {
        throw new Error(
          `instanceTypes must be of the arm64 architecture, which the function is built for, got "${type}"`,
        );
      }
    }
  }

  /** @internal */
  public override _functionProps(): ComputeFunctionProps {
    return { functionId: 'ManagedInstances', memorySize: this.memorySize };
  }

  /** @internal */
  public override _inVpc(): GatewayCompute {
    return this;
  }

  /** @internal */
  public override _network(): FunctionNetwork {
    const { vpc, vpcSubnets, securityGroups } = this.options;
    return { vpc, vpcSubnets, securityGroups };
  }

  /**
   * An unqualified ARN of such a function means its version `$LATEST.PUBLISHED`, which CloudFormation publishes.
   * https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-version-publishing.html
   *
   * @internal
   */
  public override _target(scope: Construct, fn: LambdaFunction): ComputeTarget {
    const { options } = this;
    const securityGroups = options.securityGroups ?? [
      new SecurityGroup(scope, 'InstancesSecurityGroup', {
        vpc: options.vpc,
        description: 'Instances that run the gateway function: nothing in, everything out',
      }),
    ];
    const provider = new CapacityProvider(scope, 'CapacityProvider', {
      subnets: this.subnets(),
      securityGroups,
      architectures: [Architecture.ARM_64],
      maxVCpuCount: options.maxVcpus,
      ...(options.instanceTypes && { instanceTypeFilter: InstanceTypeFilter.allow(options.instanceTypes) }),
    });
    acknowledgeManagedPolicy(
      provider,
      'AWSLambdaManagedEC2ResourceOperator',
      "Lambda's own policy for the instances that it runs on the user's behalf.",
    );
    provider.addFunction(fn, {
      perExecutionEnvironmentMaxConcurrency: options.maxConcurrency ?? (64 * this.memorySize) / MIB_PER_VCPU,
      executionEnvironmentMemoryGiBPerVCpu: MIB_PER_VCPU / 1024,
      publishToLatestPublished: true,
      latestPublishedScalingConfig: {
        minExecutionEnvironments: this.minEnvironments,
        maxExecutionEnvironments: options.maxEnvironments,
      },
    });
    return { invoked: fn, connections: new Connections({ securityGroups }) };
  }

  /** The CDK's default ends at public subnets: instances there have no public address, and reach nothing. */
  private subnets(): ISubnet[] {
    const { vpc, vpcSubnets } = this.options;
    if (vpcSubnets === undefined && vpc.privateSubnets.length === 0) {
      throw new Error(
        `${vpc.node.path} has no private subnets with a way out, which managed instances run in by default: pass vpcSubnets, and see that VPC endpoints lead to Bedrock, CloudWatch Logs and the backends`,
      );
    }
    return vpc.selectSubnets(vpcSubnets).subnets;
  }

  private get minEnvironments(): number {
    return this.options.minEnvironments ?? 3;
  }

  private get memorySize(): number {
    return this.options.memorySizeMiB ?? 2048;
  }
}
