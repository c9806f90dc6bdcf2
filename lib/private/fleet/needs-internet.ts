import type { IVpc } from 'aws-cdk-lib/aws-ec2';
import { AssetImage, type ContainerImage, EcrImage } from 'aws-cdk-lib/aws-ecs';
import type { IModelWeights } from '../../fleet/model-weights';
import type { IServingEngine } from '../../fleet/serving-engine';
import type { EngineBinding, WeightsBinding } from './engine-binding';

/** What of a fleet is fetched from outside AWS, in words; undefined when nothing is. */
export function internetNeed(
  engine: EngineBinding,
  weights: WeightsBinding,
  images: { readonly agentImage?: ContainerImage; readonly copyImage?: ContainerImage },
): string | undefined {
  const needs = [
    weights.source.type === 'hugging-face' && 'weights of Hugging Face',
    engine.publicImage && "its engine's image of a public registry",
    engine.metrics !== undefined && isPublic(images.agentImage) && "agentImage of Amazon ECR's public registry",
    engine.copyWeights && isPublic(images.copyImage) && "copyImage of Amazon ECR's public registry",
  ].filter((need) => need !== false);
  return needs.length === 0 ? undefined : needs.join(', ');
}

function isPublic(image: ContainerImage | undefined): boolean {
  return !(image instanceof EcrImage || image instanceof AssetImage);
}

/** Whether tasks or functions in a VPC can't get out of it. */
export function isIsolated(vpc: IVpc): boolean {
  return vpc.privateSubnets.length === 0 && vpc.isolatedSubnets.length > 0;
}

/** The same before there is a fleet. */
export function needsInternet(props: {
  readonly engine: IServingEngine;
  readonly weights: IModelWeights;
  readonly agentImage?: ContainerImage;
  readonly copyImage?: ContainerImage;
}): boolean {
  const weights = props.weights._bind();
  const engine = props.engine._bind({ weights: weights.source, servedName: '', cacheFolder: '', keepAliveSeconds: 0 });
  return internetNeed(engine, weights, props) !== undefined;
}
