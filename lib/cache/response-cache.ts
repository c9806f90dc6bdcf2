import type { Duration } from 'aws-cdk-lib';
import {
  Connections,
  type IConnectable,
  type ISecurityGroup,
  type IVpc,
  Port,
  type SubnetSelection,
} from 'aws-cdk-lib/aws-ec2';
import { CfnServerlessCache, type CfnUser } from 'aws-cdk-lib/aws-elasticache';
import type { Grant, IGrantable } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { cacheNameOf, cacheSecurityGroup, cacheUsers, grantCacheConnect } from '../private/cache-access';
import { CACHE_ENDPOINT_ENV, type CacheBinding, type CacheContext } from '../private/cache-binding';
import { bindCachePolicy, type CacheSettings, cacheOptions } from '../private/cache-options';
import { EndpointCache } from '../private/endpoint-cache';
import { letIn } from '../private/let-in';
import { requireInteger } from '../private/validation';
import type { CacheEndpointAttributes } from './cache-endpoint';
import type { CachePolicy } from './cache-policy';

/** A cache that a gateway answers from. Made by `ResponseCache`. */
export interface IResponseCache {
  /** The VPC that the gateway's function has to be in; undefined where it is reachable from anywhere. */
  readonly vpc?: IVpc;

  /** Whether it can find similar requests. @internal */
  readonly _searchesVectors: boolean;

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

  /** @internal */
  public readonly _searchesVectors = false;

  private readonly settings: CacheSettings;
  private readonly options: CacheOptions;

  constructor(scope: Construct, id: string, props: ResponseCacheProps) {
    super(scope, id);
    requireInteger('maxStorageGb', props.maxStorageGb, 1, 5000);
    requireInteger('maxEcpuPerSecond', props.maxEcpuPerSecond, 1000, 15_000_000);
    this.settings = cacheOptions(props, false);
    this.options = props;
    this.cacheName = cacheNameOf(this, props.cacheName);
    const { subnetIds } = props.vpc.selectSubnets(props.vpcSubnets);
    if (subnetIds.length < 2) {
      throw new Error(
        `a serverless cache needs two subnets in different zones, vpcSubnets selects ${subnetIds.length}: select others, or add a zone to the VPC`,
      );
    }
    this.vpc = props.vpc;
    const securityGroups = props.securityGroups ?? [cacheSecurityGroup(this, props.vpc)];
    this.connections = new Connections({ securityGroups, defaultPort: Port.tcp(PORT) });
    const { user, group } = cacheUsers(this, this.cacheName);
    this.user = user;
    this.resource = new CfnServerlessCache(this, 'Resource', {
      engine: 'valkey',
      majorEngineVersion: '8',
      serverlessCacheName: this.cacheName,
      description: 'Answers of LLM models',
      // Serverless caches take three at most.
      subnetIds: subnetIds.slice(0, 3),
      securityGroupIds: securityGroups.map((group) => group.securityGroupId),
      userGroupId: group.ref,
      kmsKeyId: props.encryptionKey?.keyArn,
      cacheUsageLimits: {
        dataStorage: { unit: 'GB', maximum: props.maxStorageGb ?? 5 },
        ecpuPerSecond: { maximum: props.maxEcpuPerSecond ?? 10_000 },
      },
    });
  }

  /** Lets it log in to the cache as the handlers' user. It has to be let in by `connections` too. */
  public grantConnect(grantee: IGrantable): Grant {
    return grantCacheConnect(this, grantee, 'serverlesscache', this.cacheName);
  }

  /** @internal */
  public _bind(context: CacheContext): CacheBinding {
    const { grantee, connections } = context;
    if (connections === undefined) {
      throw new Error(`the gateway's function is in no VPC, and can't reach ${this.node.path}: pass compute with vpc`);
    }
    letIn(this.connections, connections, Port.tcp(PORT), 'The gateway function');
    this.grantConnect(grantee);
    return {
      config: {
        ...this.settings,
        endpoint: { env: CACHE_ENDPOINT_ENV },
        auth: { type: 'iam', userId: this.cacheName, cacheName: this.cacheName },
      },
      environment: {
        ...bindCachePolicy(this.options, context),
        [CACHE_ENDPOINT_ENV]: `rediss://${this.resource.attrEndpointAddress}:${this.resource.attrEndpointPort}`,
      },
    };
  }
}
