import { Stack } from 'aws-cdk-lib';
import type { Connections } from 'aws-cdk-lib/aws-ec2';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import type { IBackend } from '../model/backend';
import type { Model } from '../model/model';
import type { BackendBinding } from './backend-binding';
import type { BackendConfig, ModelConfig } from './serving-config';

/** A function that calls backends. */
export interface BackendCaller {
  readonly fn: LambdaFunction;
  /** Where it is in a VPC; absent when it is in none. */
  readonly connections?: Connections;
}

/** The models of one gateway; binds each backend once to each function that calls it. */
export class ModelRegistry {
  private readonly models: ModelConfig[] = [];
  private readonly constructs: Model[] = [];
  /** By name and by alias. */
  private readonly byName = new Map<string, Model>();
  private readonly backends = new Map<string, { source: IBackend; config: BackendConfig; fingerprint: string }>();

  private readonly callers: BackendCaller[];

  constructor(
    private readonly scope: Construct,
    fn: LambdaFunction,
    connections?: Connections,
  ) {
    this.callers = [{ fn, connections }];
  }

  /** One more function that takes the same walk. */
  public addCaller(caller: BackendCaller): void {
    this.callers.push(caller);
    for (const { source } of this.backends.values()) this.bindTo(caller, source);
    for (const model of this.constructs) bindCachePolicy(caller, model);
  }

  public add(model: Model): void {
    for (const name of [model.modelName, ...model.aliases]) {
      const owner = this.byName.get(name);
      if (owner !== undefined) {
        throw new Error(`two models of one gateway answer to "${name}": ${owner.node.path} and ${model.node.path}`);
      }
    }
    for (const name of [model.modelName, ...model.aliases]) this.byName.set(name, model);
    this.constructs.push(model);
    for (const caller of this.callers) bindCachePolicy(caller, model);
    this.models.push({
      name: model.modelName,
      aliases: model.aliases,
      ownedBy: model.ownedBy,
      created: model.createdUnixSeconds,
      ...(model.maxOutputTokens !== undefined && { maxOutputTokens: model.maxOutputTokens }),
      backends: model.backends.map((backend) => this.bind(backend)),
      fallback: model.fallback._render(),
      ...(model.routing && { routing: model.routing._render() }),
      ...(model.cache && { cache: model.cache._render() }),
    });
  }

  /** In the order in which they were added. */
  public render(): ModelConfig[] {
    return [...this.models];
  }

  /** In the order in which they were added. */
  public get all(): Model[] {
    return [...this.constructs];
  }

  /** The name of the model that answers to a name or an alias. */
  public nameOf(nameOrAlias: string): string | undefined {
    return this.byName.get(nameOrAlias)?.modelName;
  }

  public get size(): number {
    return this.models.length;
  }

  private bind(backend: IBackend): BackendConfig {
    const known = this.backends.get(backend.backendId);
    if (known?.source === backend) return known.config;
    const [caller, ...others] = this.callers;
    if (caller === undefined) throw new Error('a gateway without a function');
    const { config, environment } = this.bindTo(caller, backend, known !== undefined);
    const fingerprint = JSON.stringify(Stack.of(this.scope).resolve({ config, environment }));
    if (known !== undefined && known.fingerprint !== fingerprint) {
      throw new Error(
        `two different backends have the id "${backend.backendId}": give one of them a backendId of its own, or use one object for both`,
      );
    }
    if (known === undefined) {
      for (const other of others) this.bindTo(other, backend);
      this.backends.set(backend.backendId, { source: backend, config, fingerprint });
    }
    return config;
  }

  /** @param isKnown its variables are there already */
  private bindTo({ fn, connections }: BackendCaller, backend: IBackend, isKnown = false): BackendBinding {
    const binding = backend._bind({ scope: this.scope, grantee: fn, connections });
    if (!isKnown) {
      for (const [name, value] of Object.entries(binding.environment)) fn.addEnvironment(name, value);
    }
    return binding;
  }
}

/** Rights and variables that a model's own cache policy needs. */
function bindCachePolicy({ fn, connections }: BackendCaller, { cache }: Model): void {
  for (const [name, value] of Object.entries(cache?._bind({ grantee: fn, connections }) ?? {})) {
    fn.addEnvironment(name, value);
  }
}
