import { ArnFormat, type Duration, Names, Stack } from 'aws-cdk-lib';
import {
  Connections,
  type IConnectable,
  type ISecurityGroup,
  type IVpc,
  Port,
  SecurityGroup,
  type SubnetSelection,
} from 'aws-cdk-lib/aws-ec2';
import { CfnServerlessCache, CfnUser, CfnUserGroup } from 'aws-cdk-lib/aws-elasticache';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { CACHE_ENDPOINT_ENV, type CacheBinding, type CacheContext } from '../private/cache-binding';
import { cacheOptions } from '../private/cache-options';
import { EndpointCache } from '../private/endpoint-cache';
import { letIn } from '../private/let-in';
import { requireInteger, requireKnown } from '../private/validation';
import type { CacheEndpointAttributes } from './cache-endpoint';
import type { CachePolicy } from './cache-policy';

/** A cache that a gateway answers from. Made by `ResponseCache`. */
export interface IResponseCache {
  /** The VPC that the gateway's function has to be in; undefined where it is reachable from anywhere. */
  readonly vpc?: IVpc;

  /** @internal */
  _bind(context: CacheContext): CacheBinding;
}

/** Options of every cache. */
export interface CacheOptions {
  /**
   * What is kept of the answers of models that have no policy of their own.
   *
   * @default CachePolicy.standard()
   */
  readonly policy?: CachePolicy;

  /**
   * How long a command may take, 1 ms to 5 s. After that the request goes on without the cache.
   *
   * @default Duration.millis(100)
   */
  readonly timeout?: Duration;

  /**
   * How long a connection may take that isn't there yet, 10 ms to 10 s. Only the first request of a process waits.
   *
   * @default Duration.millis(500)
   */
  readonly connectTimeout?: Duration;
}

/** Properties of a cache on ElastiCache Serverless. */
export interface ResponseCacheProps extends CacheOptions {
  /** The VPC that the cache is reachable from. A gateway's function is put there, unless its compute names another. */
  readonly vpc: IVpc;

  /**
   * Which of the VPC's subnets; two or three, in different zones.
   *
   * @default - the private ones
   */
  readonly vpcSubnets?: SubnetSelection;

  /**
   * The cache's security groups. The gateway's function is let in.
   *
   * @default - a new one that lets nothing else in
   */
  readonly securityGroups?: ISecurityGroup[];

  /**
   * The cache's name: letters, digits and `-`, at most 40, beginning with a letter.
   *
   * @default - made from the construct's path
   */
  readonly cacheName?: string;

  /**
   * How much it may hold, in GB: a ceiling for the bill. When it is full, what was used least recently goes first.
   * 1–5000.
   *
   * @default 5
   */
  readonly maxStorageGb?: number;

  /**
   * How many ElastiCache processing units a second it may use: a ceiling for the bill. A command is one, or one for
   * each KB. 1000–15000000.
   *
   * @default 10000
   */
  readonly maxEcpuPerSecond?: number;

  /**
   * The key that what is kept is encrypted with.
   *
   * @default - one of ElastiCache's own
   */
  readonly encryptionKey?: IKey;
}

/** Valkey's port, and that of a serverless cache. */
const PORT = 6379;
/** ElastiCache's. https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateServerlessCache.html */
const MAX_NAME = 40;
const NAME = /^[A-Za-z](?:-?[A-Za-z0-9])*$/;

/**
 * What the handler's user may do: reading and writing its own keys, and nothing that concerns the server or other
 * clients.
 */
const ACCESS =
  'on ~llm:* resetchannels -@all +@read +@write +@connection +@transaction +@scripting +@blocking -@admin -@dangerous';

/**
 * A cache for answers, on ElastiCache Serverless for Valkey: identical requests are answered from it, and those in
 * flight share one answer. Private, encrypted in transit and at rest; the gateway's function logs in with its role.
 *
 * It costs about $6 a month when idle (100 MB at least are billed), and puts the gateway's function into a VPC.
 */
export class ResponseCache extends Construct implements IResponseCache, IConnectable {
  /** A Valkey or Redis (7 or newer, or a compatible one) that exists already: one node, not in cluster mode. */
  public static fromEndpoint(attributes: CacheEndpointAttributes): IResponseCache {
    return new EndpointCache(attributes);
  }

  /** The VPC that the cache is reachable from. */
  public readonly vpc?: IVpc;

  /** Who may connect. */
  public readonly connections: Connections;

  /** The cache. */
  public readonly resource: CfnServerlessCache;

  /** The user that the gateway's function logs in as. */
  public readonly user: CfnUser;

  /** The cache's name. */
  public readonly cacheName: string;

  private readonly options: Omit<CacheBinding['config'], 'endpoint' | 'auth'>;

  constructor(scope: Construct, id: string, props: ResponseCacheProps) {
    super(scope, id);
    requireKnown('cacheName', props.cacheName);
    requireInteger('maxStorageGb', props.maxStorageGb, 1, 5000);
    requireInteger('maxEcpuPerSecond', props.maxEcpuPerSecond, 1000, 15_000_000);
    this.options = cacheOptions(props);
    const name = props.cacheName ?? uniqueName(this);
    if (name.length > MAX_NAME || !NAME.test(name)) {
      throw new Error(
        `cacheName must be 1–${MAX_NAME} letters, digits or "-", begin with a letter and hold no "--", got "${name}"`,
      );
    }
    const { subnetIds } = props.vpc.selectSubnets(props.vpcSubnets);
    if (subnetIds.length < 2) {
      throw new Error(
        `a serverless cache needs two subnets in different zones, vpcSubnets selects ${subnetIds.length}: select others, or add a zone to the VPC`,
      );
    }
    // ElastiCache makes names lower-case, and a token is signed for the name as it is.
    this.cacheName = name.toLowerCase();
    this.vpc = props.vpc;
    const securityGroups = props.securityGroups ?? [
      new SecurityGroup(this, 'SecurityGroup', {
        vpc: props.vpc,
        description: 'Response cache: the gateway function in, nothing out',
        allowAllOutbound: false,
      }),
    ];
    this.connections = new Connections({ securityGroups, defaultPort: Port.tcp(PORT) });
    this.user = new CfnUser(this, 'User', {
      engine: 'valkey',
      // With IAM, id and name have to be the same.
      userId: this.cacheName,
      userName: this.cacheName,
      authenticationMode: { Type: 'iam' },
      accessString: ACCESS,
    });
    const users = new CfnUserGroup(this, 'Users', {
      engine: 'valkey',
      userGroupId: this.cacheName,
      userIds: [this.user.ref],
    });
    this.resource = new CfnServerlessCache(this, 'Resource', {
      engine: 'valkey',
      majorEngineVersion: '8',
      serverlessCacheName: this.cacheName,
      description: 'Answers of LLM models',
      // Serverless caches take three at most.
      subnetIds: subnetIds.slice(0, 3),
      securityGroupIds: securityGroups.map((group) => group.securityGroupId),
      userGroupId: users.ref,
      kmsKeyId: props.encryptionKey?.keyArn,
      cacheUsageLimits: {
        dataStorage: { unit: 'GB', maximum: props.maxStorageGb ?? 5 },
        ecpuPerSecond: { maximum: props.maxEcpuPerSecond ?? 10_000 },
      },
    });
  }

  /** Lets it log in to the cache as the handlers' user. It has to be let in by `connections` too. */
  public grantConnect(grantee: IGrantable): Grant {
    const stack = Stack.of(this);
    return Grant.addToPrincipal({
      grantee,
      actions: ['elasticache:Connect'],
      resourceArns: [
        ['serverlesscache', this.cacheName],
        ['user', this.cacheName],
      ].map(([resource, resourceName]) =>
        stack.formatArn({
          service: 'elasticache',
          resource: resource as string,
          resourceName,
          arnFormat: ArnFormat.COLON_RESOURCE_NAME,
        }),
      ),
    });
  }

  /** @internal */
  public _bind({ grantee, connections }: CacheContext): CacheBinding {
    if (connections === undefined) {
      throw new Error(`the gateway's function is in no VPC, and can't reach ${this.node.path}: pass compute with vpc`);
    }
    letIn(this.connections, connections, Port.tcp(PORT), 'The gateway function');
    this.grantConnect(grantee);
    return {
      config: {
        ...this.options,
        endpoint: { env: CACHE_ENDPOINT_ENV },
        auth: { type: 'iam', userId: this.cacheName, cacheName: this.cacheName },
      },
      environment: {
        [CACHE_ENDPOINT_ENV]: `rediss://${this.resource.attrEndpointAddress}:${this.resource.attrEndpointPort}`,
      },
    };
  }
}

/** ElastiCache takes no more than 40 characters, and the first must be a letter. */
function uniqueName(scope: Construct): string {
  const unique = Names.uniqueResourceName(scope, { maxLength: MAX_NAME - 4, separator: '-' });
  return `llm-${unique.replaceAll(/-+/g, '-').replace(/-$/, '')}`;
}
