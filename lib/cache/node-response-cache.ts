import { Token, Validations } from 'aws-cdk-lib';
import {
  Connections,
  type IConnectable,
  type ISecurityGroup,
  type IVpc,
  Port,
  type SubnetSelection,
} from 'aws-cdk-lib/aws-ec2';
import { CfnParameterGroup, CfnReplicationGroup, CfnSubnetGroup, type CfnUser } from 'aws-cdk-lib/aws-elasticache';
import type { Grant, IGrantable } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { cacheNameOf, cacheSecurityGroup, cacheUsers, grantCacheConnect } from '../private/cache-access';
import { CACHE_ENDPOINT_ENV, type CacheBinding, type CacheContext } from '../private/cache-binding';
import { bindCachePolicy, type CacheSettings, cacheOptions } from '../private/cache-options';
import { letIn } from '../private/let-in';
import { requireInteger } from '../private/validation';
import type { CacheOptions, IResponseCache } from './response-cache';

/** Properties of a cache on nodes of its own. */
export interface NodeResponseCacheProps extends CacheOptions {
  /** The VPC that the cache is reachable from. A gateway's function is put there, unless its compute names another. */
  readonly vpc: IVpc;

  /**
   * Which of the VPC's subnets.
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
   * The node type, such as `cache.r7g.large`. Its memory is the cache's: when that is full, what was used least recently
   * goes first. Not one with data tiering (`cache.r6gd`), which can't search.
   *
   * @default 'cache.t4g.medium'
   */
  readonly nodeType?: string;

  /**
   * How many nodes stand by, each in another zone, to take over when the first one fails, 0–5. Each costs as much as
   * that one. Without any, a failed node is replaced empty: requests are answered anew meanwhile.
   *
   * @default 1
   */
  readonly replicas?: number;

  /**
   * The key that what is kept is encrypted with.
   *
   * @default - one of ElastiCache's own
   */
  readonly encryptionKey?: IKey;
}

/** Valkey's. */
const PORT = 6379;
/** The first version that can search vectors. */
const ENGINE_VERSION = '8.2';
const FAMILY = 'valkey8';

/**
 * What of a small burstable node's memory has to be left free for vector search, in percent.
 * https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/vector-search-features-limits.html
 */
const RESERVED_PERCENT: Readonly<Record<string, number>> = { micro: 50, small: 30 };

/**
 * A cache for answers on ElastiCache nodes of its own, with Valkey 8.2: what `ResponseCache` does, and vector search, which
 * answers to similar requests (`CachePolicy`'s `semantic`) need and a serverless cache doesn't have. Private, encrypted in
 * transit and at rest; the gateway's function logs in with its role.
 *
 * Its nodes are paid by the hour, busy or not.
 */
export class NodeResponseCache extends Construct implements IResponseCache, IConnectable {
  /** The VPC that the cache is reachable from. */
  public readonly vpc?: IVpc;

  /** Who may connect. */
  public readonly connections: Connections;

  /** The cache. */
  public readonly resource: CfnReplicationGroup;

  /** The user that the gateway's function logs in as. */
  public readonly user: CfnUser;

  /** The cache's name. */
  public readonly cacheName: string;

  /** @internal */
  public readonly _searchesVectors = true;

  private readonly settings: CacheSettings;
  private readonly options: CacheOptions;

  constructor(scope: Construct, id: string, props: NodeResponseCacheProps) {
    super(scope, id);
    const { replicas = 1, nodeType = 'cache.t4g.medium' } = props;
    requireInteger('replicas', replicas, 0, 5);
    requireNodeType(nodeType);
    this.settings = cacheOptions(props, true);
    this.options = props;
    this.cacheName = cacheNameOf(this, props.cacheName);
    this.vpc = props.vpc;
    const { subnetIds } = props.vpc.selectSubnets(props.vpcSubnets);
    if (replicas > 0 && subnetIds.length < 2) {
      throw new Error(
        `replicas need a second zone, vpcSubnets selects ${subnetIds.length} subnet: select others, add a zone to the VPC, or pass replicas: 0`,
      );
    }
    const securityGroups = props.securityGroups ?? [cacheSecurityGroup(this, props.vpc)];
    this.connections = new Connections({ securityGroups, defaultPort: Port.tcp(PORT) });
    const { user, group } = cacheUsers(this, this.cacheName);
    this.user = user;
    const subnets = new CfnSubnetGroup(this, 'Subnets', {
      description: 'Subnets of the response cache',
      subnetIds,
    });
    this.resource = new CfnReplicationGroup(this, 'Resource', {
      engine: 'valkey',
      engineVersion: ENGINE_VERSION,
      replicationGroupId: this.cacheName,
      replicationGroupDescription: 'Answers of LLM models',
      cacheNodeType: nodeType,
      cacheParameterGroupName: this.parameters(nodeType),
      numCacheClusters: replicas + 1,
      automaticFailoverEnabled: replicas > 0,
      multiAzEnabled: replicas > 0,
      cacheSubnetGroupName: subnets.ref,
      securityGroupIds: securityGroups.map((each) => each.securityGroupId),
      port: PORT,
      transitEncryptionEnabled: true,
      transitEncryptionMode: 'required',
      atRestEncryptionEnabled: true,
      kmsKeyId: props.encryptionKey?.keyArn,
      userGroupIds: [group.ref],
      autoMinorVersionUpgrade: true,
      // What is lost is answered anew.
      snapshotRetentionLimit: 0,
    });
    Validations.of(this.resource).acknowledge({
      id: 'AwsSolutions-AEC6',
      reason: 'Handlers log in with IAM (a user group), which takes the place of an AUTH token and excludes one.',
    });
    if (replicas === 0) {
      Validations.of(this.resource).acknowledge({
        id: 'AwsSolutions-AEC4',
        reason:
          'replicas: 0 was asked for: a cache that is lost is filled anew, and requests go on without it meanwhile.',
      });
    }
  }

  /** Lets it log in to the cache as the handlers' user. It has to be let in by `connections` too. */
  public grantConnect(grantee: IGrantable): Grant {
    return grantCacheConnect(this, grantee, 'replicationgroup', this.cacheName);
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
        auth: { type: 'iam', userId: this.cacheName, cacheName: this.cacheName, nodeBased: true },
      },
      environment: {
        ...bindCachePolicy(this.options, context),
        [CACHE_ENDPOINT_ENV]: `rediss://${this.resource.attrPrimaryEndPointAddress}:${this.resource.attrPrimaryEndPointPort}`,
      },
    };
  }

  /** The defaults, but for small nodes, whose memory search needs more of. */
  private parameters(nodeType: string): string {
    const reserved = RESERVED_PERCENT[nodeType.split('.').at(-1) ?? ''];
    if (reserved === undefined) return `default.${FAMILY}`;
    return new CfnParameterGroup(this, 'Parameters', {
      cacheParameterGroupFamily: FAMILY,
      description: 'Room for vector search on a small node',
      properties: { 'reserved-memory-percent': String(reserved) },
    }).ref;
  }
}

function requireNodeType(nodeType: string): void {
  if (Token.isUnresolved(nodeType)) throw new Error('nodeType must be known at synth, but it is a token');
  if (!/^cache\.[a-z0-9]+\.[a-z0-9]+$/.test(nodeType)) {
    throw new Error(`nodeType must be one of ElastiCache's, such as "cache.t4g.medium", got "${nodeType}"`);
  }
  if (/^cache\.r6gd\./.test(nodeType)) {
    throw new Error(`nodeType "${nodeType}" has data tiering, which excludes vector search: take cache.r7g instead`);
  }
}
