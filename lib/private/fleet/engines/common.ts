import { AssetImage, ContainerImage, EcrImage } from 'aws-cdk-lib/aws-ecs';
import type { EngineOptions } from '../../../fleet/engine-options';
import { requireInteger } from '../../validation';
import type { EngineContext, WeightsSource } from '../engine-binding';

export function requireCommon(options: EngineOptions): void {
  requireInteger('contextLength', options.contextLength, 1);
  requireInteger('tensorParallelSize', options.tensorParallelSize, 1, 16);
  requireEnvironment(options.environment);
  requireUser(options.user);
}

export function requireUser(user: string | undefined): void {
  if (user !== undefined && !/^[A-Za-z0-9_][\w.-]*(:[A-Za-z0-9_][\w.-]*)?$/.test(user)) {
    throw new Error(`user must be a name or an id, with a group or without: "2000", "2000:0", got "${user}"`);
  }
}

export function requireEnvironment(environment: { [name: string]: string } | undefined): void {
  for (const name of Object.keys(environment ?? {})) {
    if (!/^[A-Za-z_]\w*$/.test(name)) throw new Error(`environment has "${name}", which is no name of a variable`);
    if (/(TOKEN|API_KEY|SECRET|PASSWORD)$/i.test(name)) {
      throw new Error(
        `environment must not hold "${name}": it stands in the template; keep secrets in Secrets Manager`,
      );
    }
  }
}

/** Images of a registry in the account are reached through VPC endpoints; others only over the internet. */
export function imageOf(given: ContainerImage | undefined, fallback: string) {
  return {
    image: given ?? ContainerImage.fromRegistry(fallback),
    publicImage: !(given instanceof EcrImage || given instanceof AssetImage),
  };
}

/** The model as engines want it that can't stream: a repository's name or a folder. */
export function modelArgument({ weights, cacheFolder }: EngineContext): string {
  return weights.type === 'hugging-face' ? weights.repository : copyFolder(cacheFolder, weights);
}

/**
 * Where weights of S3 are copied to: for each bucket and prefix a folder of its own. In one folder for all, files of
 * another version would be left over, and those of the same size that aren't newer not even be replaced.
 */
export function copyFolder(cacheFolder: string, { uri }: Extract<WeightsSource, { type: 's3' }>): string {
  return `${cacheFolder}/weights/${uri.slice('s3://'.length)}`;
}

export function revisionOf({ weights }: EngineContext): string | undefined {
  return weights.type === 'hugging-face' ? weights.revision : undefined;
}

/** Where libraries of Hugging Face keep what they download. */
export function cacheVariables({ cacheFolder }: EngineContext): Record<string, string> {
  return { HF_HOME: `${cacheFolder}/huggingface` };
}

/** Bytes of a weight by the name of its quantization. */
export function weightBytes(quantization: string | undefined): number {
  if (quantization === undefined) return 2;
  if (/fp8|int8|w8a8|8bit|bitsandbytes-8/i.test(quantization)) return 1;
  if (/awq|gptq|int4|fp4|w4a16|marlin|bitsandbytes|4bit/i.test(quantization)) return 0.55;
  return 2;
}

export function kvBytes(dtype: string | undefined): number {
  return dtype?.startsWith('fp8') ? 1 : 2;
}
