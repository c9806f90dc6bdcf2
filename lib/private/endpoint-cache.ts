import { Token } from 'aws-cdk-lib';
import { type IVpc, Port } from 'aws-cdk-lib/aws-ec2';
import type { CacheEndpointAttributes } from '../cache/cache-endpoint';
import type { IResponseCache } from '../cache/response-cache';
import { CACHE_ENDPOINT_ENV, CACHE_SECRET_ENV, type CacheBinding, type CacheContext } from './cache-binding';
import { bindCachePolicy, type CacheSettings, cacheOptions } from './cache-options';
import { letIn } from './let-in';
import type { CacheAuthConfig } from './serving-config';
import { requireInteger, requireKnown } from './validation';

const DEFAULT_PORT = 6379;

/** A cache that exists already. */
export class EndpointCache implements IResponseCache {
  public readonly vpc?: IVpc;
  /** @internal */
  public readonly _searchesVectors: boolean;
  private readonly options: CacheSettings;

  constructor(private readonly attributes: CacheEndpointAttributes) {
    const { host, tls = true, password, port } = attributes;
    if (!Token.isUnresolved(host) && !/^[A-Za-z0-9.:_-]+$/.test(host)) {
      throw new Error(`host must be a host's name or address, without a scheme or port, got "${host}"`);
    }
    requireInteger('port', port, 1, 65_535);
    requireKnown('username', attributes.username);
    requireKnown('passwordField', attributes.passwordField);
    if (password !== undefined && !tls) {
      throw new Error('password needs tls: without it the password would cross the network in the clear');
    }
    for (const prop of ['username', 'passwordField'] as const) {
      if (attributes[prop] !== undefined && password === undefined) throw new Error(`${prop} needs password`);
    }
    this.vpc = attributes.vpc;
    this._searchesVectors = attributes.vectorSearch ?? false;
    this.options = cacheOptions(attributes, this._searchesVectors);
  }

  /** @internal */
  public _bind(context: CacheContext): CacheBinding {
    const { grantee, connections } = context;
    const { host, port = DEFAULT_PORT, tls = true, password, connectable } = this.attributes;
    if (connectable !== undefined && connections === undefined) {
      throw new Error("connectable needs the gateway's function in a VPC: pass vpc, or compute with vpc");
    }
    if (connectable !== undefined && connections !== undefined) {
      letIn(connectable.connections, connections, Port.tcp(port), 'The gateway function');
    }
    password?.grantRead(grantee);
    return {
      config: { ...this.options, endpoint: { env: CACHE_ENDPOINT_ENV }, auth: this.auth() },
      environment: {
        ...bindCachePolicy(this.attributes, context),
        [CACHE_ENDPOINT_ENV]: `${tls ? 'rediss' : 'redis'}://${host}:${port}`,
        ...(password && { [CACHE_SECRET_ENV]: password.secretFullArn ?? password.secretArn }),
      },
    };
  }

  private auth(): CacheAuthConfig {
    const { password, passwordField, username } = this.attributes;
    if (password === undefined) return { type: 'none' };
    return {
      type: 'secret',
      secretArn: { env: CACHE_SECRET_ENV },
      ...(username !== undefined && { username }),
      ...(passwordField !== undefined && { jsonField: passwordField }),
    };
  }
}
