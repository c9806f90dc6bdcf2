import { Duration } from 'aws-cdk-lib';
import type { OpenAiCompatibleEngineOptions } from '../../../fleet/engine-options';
import type { IServingEngine } from '../../../fleet/serving-engine';
import { requireDuration, requireInteger } from '../../validation';
import type { EngineBinding, EngineContext } from '../engine-binding';
import { cacheVariables, imageOf, modelArgument, requireEnvironment, requireUser } from './common';

/** A container that the user knows best. */
export class OtherEngine implements IServingEngine {
  public readonly engineName: string;
  private readonly shutdownSeconds: number;

  constructor(private readonly options: OpenAiCompatibleEngineOptions) {
    this.engineName = options.engineName ?? 'openai-compatible';
    if (!/^[a-z0-9][a-z0-9-]{0,31}$/.test(this.engineName)) {
      throw new Error(`engineName must be 1–32 lower-case letters, digits or "-", got "${this.engineName}"`);
    }
    requireInteger('port', options.port, 1, 65535);
    requireInteger('gpus', options.gpus, 1, 16);
    requireEnvironment(options.environment);
    requireUser(options.user);
    requirePath('healthPath', options.healthPath);
    requirePath('metrics.path', options.metrics?.path);
    this.shutdownSeconds =
      requireDuration(
        'shutdownTimeout',
        options.shutdownTimeout ?? Duration.seconds(0),
        Duration.seconds(0),
        Duration.seconds(110),
      ) / 1000;
  }

  /** @internal */
  public _bind(context: EngineContext): EngineBinding {
    const { options } = this;
    const filled = (part: string) =>
      part.replaceAll('{model}', modelArgument(context)).replaceAll('{name}', context.servedName);
    return {
      ...imageOf(options.image, ''),
      user: options.user,
      command: (options.command ?? []).map(filled),
      port: options.port,
      healthPath: options.healthPath ?? '/health',
      healthTimeoutSeconds: 5,
      environment: { ...cacheVariables(context), ...options.environment },
      apiKeyVariable: options.apiKeyVariable,
      gpus: options.gpus ?? 1,
      copyWeights: context.weights.type === 's3',
      metrics: options.metrics && { ...options.metrics, path: options.metrics.path ?? '/metrics' },
      fields: { cacheSalt: false },
      shutdownSeconds: this.shutdownSeconds,
      unsupportedParameters: options.unsupportedParameters ?? [],
      memory: { weightBytes: 2, kvBytes: 2, utilization: 0.9 },
    };
  }
}

function requirePath(prop: string, path: string | undefined): void {
  if (path !== undefined && !/^\/[\w./-]*$/.test(path)) throw new Error(`${prop} must begin with "/", got "${path}"`);
}
