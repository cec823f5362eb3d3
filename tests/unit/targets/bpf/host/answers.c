
/*
 * Appended to the C of a policy that is compiled for the host: reads machines of one task each and writes what the
 * policy's rules say. ASKED_OF_TASK and ASKED_OF_EVENT are the rules.
 */
#include <stdio.h>

static bool (*const of_task[])(const struct candidate *) = { ASKED_OF_TASK };
static bool (*const of_event[])(void) = { ASKED_OF_EVENT };

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#ifndef DRY_RUN
void set_oom_policy_name(struct oom_control *oc, const char *src, unsigned long size)
{
}
#endif

static void take(void *to, unsigned long size)
{
	if (fread(to, 1, size, stdin) != size)
		exit(3);
}

static struct cgroup_root hierarchy;

/* A cgroup below another, its name where nothing but its end stands behind it. */
static struct cgroup *cgroup_below(const struct cgroup *parent)
{
	int level = parent ? parent->level + 1 : 0;
	struct cgroup *cgroup = calloc(1, sizeof(*cgroup) + 17 * sizeof(cgroup));
	struct kernfs_node *node = calloc(1, sizeof(*node));
	unsigned char length = 0;
	char *name;

	if (parent)
		memcpy(cgroup->ancestors, parent->ancestors, 17 * sizeof(cgroup));
	cgroup->level = level;
	cgroup->root = &hierarchy;
	cgroup->kn = node;
	cgroup->ancestors[level] = cgroup;
	take(&node->id, sizeof(node->id));
	take(&length, 1);
	name = calloc(1, length + 1);
	take(name, length);
	node->name = name;
#ifdef DRY_RUN
	if (level)
		memcpy(request.scope_names[level - 1], name, length + 1);
#endif
	return cgroup;
}

static void answer(struct task_struct *task, struct cgroup *cgroup)
{
	static struct candidate candidate;
	struct memory memory = {};
	unsigned long i;
#ifdef DRY_RUN
	request.scope_id = cgroup->kn->id;
	request.scope_level = cgroup->level;
	start_event();
#else
	struct mem_cgroup memcg = { .css = { .cgroup = cgroup } };
	struct oom_control oc = { .memcg = &memcg };

	start_event(&oc);
#endif
	for (i = 0; i < LENGTH(of_event); i++)
		putchar('0' + of_event[i]());
	read_candidate(&candidate, task, &memory);
	for (i = 0; i < LENGTH(of_task); i++)
		putchar('0' + of_task[i](&candidate));
	putchar('\n');
}

int main(void)
{
	struct signal_struct signal = {};
	struct cgroup_subsys_state css = {};
	struct css_set set = { .subsys = { &css } };
	struct task_struct task = { .signal = &signal, .cgroups = &set };
	unsigned char head[2]; /* cgroup v1 or 2; levels */
	struct cgroup *cgroup;

	while (fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
		hierarchy.hierarchy_id = head[0] == 1;
		take(task.comm, sizeof(task.comm));
		cgroup = cgroup_below(NULL);
		while (head[1]--)
			cgroup = cgroup_below(cgroup);
		css.cgroup = cgroup;
		answer(&task, cgroup);
		answer(&task, cgroup); /* by what is remembered */
	}
	return 0;
}
