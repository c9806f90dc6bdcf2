import type { IConnectable, IVpc } from 'aws-cdk-lib/aws-ec2';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { CacheOptions } from './response-cache';

/** A Valkey or Redis that exists already. */
export interface CacheEndpointAttributes extends CacheOptions {
  /** Its host name or address. */
  readonly host: string;

  /**
   * Its port.
   *
   * @default 6379
   */
  readonly port?: number;

  /**
   * Whether it speaks TLS. Without it, no password can be used: it would go over the network in the clear, as do
   * prompts' answers.
   *
   * @default true
   */
  readonly tls?: boolean;

  /**
   * The secret with the password. The gateway's function reads it for each connection.
   *
   * @default - none: the cache lets in who reaches it
   */
  readonly password?: ISecret;

  /**
   * The field that holds the password, where the secret is a JSON object.
   *
   * @default - the whole secret is the password
   */
  readonly passwordField?: string;

  /**
   * The user that the password is of.
   *
   * @default - the server's default user
   */
  readonly username?: string;

  /**
   * Whether it can search vectors (Valkey with valkey-search, ElastiCache on nodes with Valkey 8.2, Redis with its query
   * engine), which answers to similar requests need.
   *
   * @default false
   */
  readonly vectorSearch?: boolean;

  /**
   * The VPC that it is reachable from. The gateway's function is put there, unless its compute names another.
   *
   * @default - the function stays where its compute puts it
   */
  readonly vpc?: IVpc;

  /**
   * What lets the gateway's function in, such as a security group of the cache.
   *
   * @default - nothing is changed: it is let in already
   */
  readonly connectable?: IConnectable;
}
