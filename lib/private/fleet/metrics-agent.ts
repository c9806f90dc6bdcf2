import type { EngineMetrics } from './engine-binding';

/**
 * Configuration of the CloudWatch agent that runs beside an engine: it scrapes the engine and writes what it finds as
 * log events in the embedded metric format, one metric a name and fleet.
 *
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/ContainerInsights-Prometheus-Setup-configure-ECS.html
 */
export interface AgentSettings {
  readonly fleetName: string;
  readonly port: number;
  readonly metrics: EngineMetrics;
  readonly namespace: string;
  readonly logGroupName: string;
}

/** Three samples in each of the minutes that policies look at. */
const SCRAPE_SECONDS = 20;

/** Written as JSON, which is YAML too. */
export function prometheusConfig({ fleetName, port, metrics }: AgentSettings): string {
  return JSON.stringify({
    global: { scrape_interval: `${SCRAPE_SECONDS}s`, scrape_timeout: '10s' },
    scrape_configs: [
      {
        job_name: 'engine',
        metrics_path: metrics.path,
        static_configs: [{ targets: [`localhost:${port}`], labels: { fleet: fleetName } }],
        metric_relabel_configs: [{ source_labels: ['__name__'], regex: namesOf(metrics).join('|'), action: 'keep' }],
      },
    ],
  });
}

export function agentConfig({ metrics, namespace, logGroupName }: AgentSettings): Record<string, unknown> {
  return {
    agent: { omit_hostname: true },
    logs: {
      metrics_collected: {
        prometheus: {
          // Of each task a stream of its own.
          log_group_name: logGroupName,
          prometheus_config_path: 'env:PROMETHEUS_CONFIG_CONTENT',
          emf_processor: {
            metric_declaration_dedup: true,
            metric_namespace: namespace,
            metric_declaration: [
              {
                source_labels: ['fleet'],
                label_matcher: '.*',
                dimensions: [['fleet']],
                metric_selectors: namesOf(metrics).map((name) => `^${name}$`),
              },
            ],
          },
        },
      },
      force_flush_interval: 5,
    },
  };
}

function namesOf({ running, waiting, kvCacheUsage, prefixQueries, prefixHits }: EngineMetrics): string[] {
  return [running, waiting, kvCacheUsage, prefixQueries, prefixHits].filter((name) => name !== undefined);
}
