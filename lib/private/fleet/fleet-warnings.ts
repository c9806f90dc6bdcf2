import { Annotations } from 'aws-cdk-lib';
import type { IVpc } from 'aws-cdk-lib/aws-ec2';
import type { CfnCluster, Cluster, ContainerImage } from 'aws-cdk-lib/aws-ecs';
import type { Construct } from 'constructs';
import type { CapacityFacts } from './capacity-binding';
import type { EngineBinding, WeightsBinding } from './engine-binding';
import { contextProblem, fitProblem } from './memory-fit';
import { internetNeed, isIsolated } from './needs-internet';

export interface FleetFacts {
  readonly fleetName: string;
  readonly vpc: IVpc;
  readonly cluster?: Cluster;
  readonly facts: CapacityFacts;
  readonly engine: EngineBinding;
  readonly weights: WeightsBinding;
  readonly agentImage?: ContainerImage;
  readonly copyImage?: ContainerImage;
}

/** What may be meant, but would show only when a task starts, or not at all. */
export function warnOf(scope: Construct, fleet: FleetFacts): void {
  const warnings: Readonly<Record<string, string | undefined>> = {
    fleetDoesNotFit: fitProblem(fleet.facts.instances, fleet.engine, fleet.weights),
    contextTooLong: contextProblem(fleet.engine, fleet.weights),
    fleetNeedsInternet: isolationProblem(fleet),
    kvCacheIsShared: sharingProblem(fleet),
    clusterHasNoInsights: insightsProblem(fleet),
    fleetSpotPrice: spotProblem(fleet),
  };
  for (const [id, text] of Object.entries(warnings)) {
    if (text !== undefined) Annotations.of(scope).addWarningV2(`cdk-llm-serving:${id}`, text);
  }
}

function isolationProblem(fleet: FleetFacts): string | undefined {
  const needed = internetNeed(fleet.engine, fleet.weights, fleet);
  if (needed === undefined || !isIsolated(fleet.vpc)) return undefined;
  return `fleet "${fleet.fleetName}" fetches ${needed}, but its VPC has no way to the internet: add a NAT gateway, or use weights in a bucket and pass images of your account's registry (ContainerImage.fromEcrRepository)`;
}

function sharingProblem({ fleetName, engine: { fields } }: FleetFacts): string | undefined {
  if (fields.unsalted === undefined) return undefined;
  return `${fields.unsalted} of fleet "${fleetName}" takes no notice of cache_salt (https://github.com/LMCache/LMCache/issues/2878): a consumer can tell by an answer's speed what others have asked. Use it where consumers may know that, else KvOffloading.NATIVE`;
}

function insightsProblem({ fleetName, cluster }: FleetFacts): string | undefined {
  if (cluster === undefined) return undefined;
  const { clusterSettings } = cluster.node.defaultChild as CfnCluster;
  // As the CDK's class writes them: no tokens.
  const settings = (clusterSettings ?? []) as readonly CfnCluster.ClusterSettingsProperty[];
  const isOn = settings.some(({ name, value }) => name === 'containerInsights' && value !== 'disabled');
  if (isOn) return undefined;
  return `cluster "${cluster.node.path}" has no Container Insights: metricTasks, metricGpuHours and a CostMeter find nothing of fleet "${fleetName}". Pass containerInsightsV2: ContainerInsights.ENABLED to the cluster`;
}

function spotProblem({ fleetName, facts }: FleetFacts): string | undefined {
  if (!facts.spotPriceUnknown) return undefined;
  return `fleet "${fleetName}" is on Spot, and its tokens and hours are counted at the on-demand price: pass spotPriceFactor to its capacity, what Spot costs of that`;
}
