/** What an instance type has, and what it costs. */
export interface GpuInstance {
  readonly type: string;
  readonly gpus: number;
  /** Of one GPU: GB of 10^9 bytes, as vendors and AWS count them. */
  readonly gpuMemoryGb: number;
  readonly memoryGiB: number;
  readonly vcpus: number;
  /** Linux, on-demand, us-east-1. */
  readonly hourlyUsd?: number;
}

type Row = readonly [type: string, gpus: number, gpuGb: number, memoryGiB: number, vcpus: number, usd?: number];

/** Where the prices are from, and when they were read. */
export const GPU_PRICE_SOURCE = 'https://aws.amazon.com/ec2/pricing/on-demand/';
export const GPU_PRICE_DATE = 'August 2026';

/** https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html; prices as said above. */
const ROWS: readonly Row[] = [
  ['g4dn.xlarge', 1, 16, 16, 4, 0.526],
  ['g4dn.2xlarge', 1, 16, 32, 8, 0.752],
  ['g4dn.4xlarge', 1, 16, 64, 16, 1.204],
  ['g4dn.8xlarge', 1, 16, 128, 32, 2.176],
  ['g4dn.16xlarge', 1, 16, 256, 64, 4.352],
  ['g4dn.12xlarge', 4, 16, 192, 48, 3.912],
  ['g5.xlarge', 1, 24, 16, 4, 1.006],
  ['g5.2xlarge', 1, 24, 32, 8, 1.212],
  ['g5.4xlarge', 1, 24, 64, 16, 1.624],
  ['g5.8xlarge', 1, 24, 128, 32, 2.448],
  ['g5.16xlarge', 1, 24, 256, 64, 4.096],
  ['g5.12xlarge', 4, 24, 192, 48, 5.672],
  ['g5.24xlarge', 4, 24, 384, 96, 8.144],
  ['g5.48xlarge', 8, 24, 768, 192, 16.288],
  ['g6.xlarge', 1, 24, 16, 4, 0.8048],
  ['g6.2xlarge', 1, 24, 32, 8, 0.9776],
  ['g6.4xlarge', 1, 24, 64, 16, 1.3232],
  ['g6.8xlarge', 1, 24, 128, 32, 2.0144],
  ['g6.16xlarge', 1, 24, 256, 64, 3.3968],
  ['g6.12xlarge', 4, 24, 192, 48, 4.6016],
  ['g6.24xlarge', 4, 24, 384, 96, 6.6752],
  ['g6.48xlarge', 8, 24, 768, 192, 13.3504],
  ['gr6.4xlarge', 1, 24, 128, 16],
  ['gr6.8xlarge', 1, 24, 256, 32],
  ['g6e.xlarge', 1, 48, 32, 4, 1.861],
  ['g6e.2xlarge', 1, 48, 64, 8, 2.24208],
  ['g6e.4xlarge', 1, 48, 128, 16, 3.00424],
  ['g6e.8xlarge', 1, 48, 256, 32, 4.52856],
  ['g6e.16xlarge', 1, 48, 512, 64, 7.57719],
  ['g6e.12xlarge', 4, 48, 384, 48, 10.49264],
  ['g6e.24xlarge', 4, 48, 768, 96, 15.06559],
  ['g6e.48xlarge', 8, 48, 1536, 192, 30.13118],
  ['g7e.2xlarge', 1, 96, 64, 8],
  ['g7e.4xlarge', 1, 96, 128, 16],
  ['g7e.8xlarge', 1, 96, 256, 32],
  ['g7e.12xlarge', 2, 96, 512, 48],
  ['g7e.24xlarge', 4, 96, 1024, 96],
  ['g7e.48xlarge', 8, 96, 2048, 192],
  ['p4d.24xlarge', 8, 40, 1152, 96, 21.957642],
  ['p4de.24xlarge', 8, 80, 1152, 96, 27.44705],
  ['p5.4xlarge', 1, 80, 256, 16],
  ['p5.48xlarge', 8, 80, 2048, 192, 55.04],
  ['p5e.48xlarge', 8, 141, 2048, 192],
  ['p5en.48xlarge', 8, 141, 2048, 192, 63.296],
  ['p6-b200.48xlarge', 8, 179, 2048, 192],
];

/** By their names, in the order of the table: by family, then by number of GPUs and size. */
export const GPU_INSTANCES: ReadonlyMap<string, GpuInstance> = new Map(
  ROWS.map(([type, gpus, gpuMemoryGb, memoryGiB, vcpus, hourlyUsd]) => [
    type,
    { type, gpus, gpuMemoryGb, memoryGiB, vcpus, hourlyUsd },
  ]),
);
