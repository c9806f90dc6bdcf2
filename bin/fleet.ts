import { Duration } from 'aws-cdk-lib';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import { GpuCapacity, ModelWeights, ServingEngine, type StackFleetProps } from '../lib/index.js';
import { boolean, ContextError, type Decode, fields, list, number, text } from './decode.ts';

const settings = fields({
  name: text,
  huggingFace: text,
  revision: text,
  contextLength: number,
  tensorParallelSize: number,
  quantization: text,
  kvCacheDtype: text,
  toolCallParser: text,
  reasoningParser: text,
  args: list(text),
  instanceTypes: list(text),
  spot: boolean,
  maxInstances: number,
  hourlyPriceUsd: number,
  spotPriceFactor: number,
  minTasks: number,
  maxTasks: number,
  targetRequestsPerTask: number,
  idleTimeoutMinutes: number,
});

/** The fleet of the context: vLLM with weights of Hugging Face on EC2. The constructs can do more. */
export const fleet: Decode<StackFleetProps> = (value, path) => {
  const { name, huggingFace, revision, instanceTypes, ...others } = settings(value, path);
  const { spot, spotPriceFactor, maxInstances, hourlyPriceUsd, ...rest } = others;
  const ofInstances = { spot, spotPriceFactor, maxInstances, hourlyPriceUsd };
  for (const [key, given] of Object.entries(ofInstances)) {
    if (given !== undefined && instanceTypes === undefined)
      throw new ContextError(`${path}.${key} needs instanceTypes`);
  }
  if (revision !== undefined && huggingFace === undefined) throw new ContextError(`${path}.revision needs huggingFace`);
  const { minTasks, maxTasks, targetRequestsPerTask, idleTimeoutMinutes, ...engine } = rest;
  return {
    fleetName: name,
    ...(huggingFace !== undefined && {
      weights: ModelWeights.huggingFace(huggingFace, { revision }),
      engine: ServingEngine.vllm(engine),
    }),
    ...(huggingFace === undefined && Object.keys(engine).length > 0 && { engine: ServingEngine.vllm(engine) }),
    ...(instanceTypes && {
      capacity: GpuCapacity.ec2({
        instanceTypes: instanceTypes.map((type) => new InstanceType(type)),
        ...ofInstances,
      }),
    }),
    ...([minTasks, maxTasks, targetRequestsPerTask, idleTimeoutMinutes].some((given) => given !== undefined) && {
      scaling: {
        minTasks,
        maxTasks,
        targetRequestsPerTask,
        ...(idleTimeoutMinutes !== undefined && { idleTimeout: Duration.minutes(idleTimeoutMinutes) }),
      },
    }),
  };
};
