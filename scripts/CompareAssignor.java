import java.util.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.group.api.assignor.*;
import org.apache.kafka.coordinator.group.assignor.UniformAssignor;
import org.apache.kafka.coordinator.group.modern.*;

/** Times of Kafka's server-side uniform assignor, one line each: name, milliseconds of its first rounds, and of many later ones, by tabs.
 *  Arguments: servers, partitions. Run by compare-assignor. */
public class CompareAssignor {
    private static final Uuid TOPIC = Uuid.randomUuid();
    private static final UniformAssignor ASSIGNOR = new UniformAssignor();

    public static void main(String[] arguments) {
        compare(Integer.parseInt(arguments[0]), Integer.parseInt(arguments[1]));
    }

    private static void compare(int servers, int partitions) {
        Map<String, MemberSubscriptionAndAssignmentImpl> empty = new HashMap<>();
        for (int number = 1; number <= servers; number++) empty.put("messaging-" + number, member(Assignment.EMPTY));
        GroupAssignment full = measure(servers, partitions, "from nothing", new GroupSpecImpl(empty, SubscriptionType.HOMOGENEOUS, Map.of()));

        Map<String, MemberSubscriptionAndAssignmentImpl> failed = members(full);
        failed.remove("messaging-" + servers / 2);
        measure(servers, partitions, "one failure", spec(failed));

        Map<String, MemberSubscriptionAndAssignmentImpl> grown = members(full);
        grown.put("messaging-" + (servers + 1), member(Assignment.EMPTY));
        measure(servers, partitions, "one new server", spec(grown));
    }

    private static Map<String, MemberSubscriptionAndAssignmentImpl> members(GroupAssignment full) {
        Map<String, MemberSubscriptionAndAssignmentImpl> members = new HashMap<>();
        full.members().forEach((id, assignment) -> members.put(id, member(new Assignment(assignment.partitions()))));
        return members;
    }

    private static MemberSubscriptionAndAssignmentImpl member(Assignment assignment) {
        return new MemberSubscriptionAndAssignmentImpl(Optional.empty(), Optional.empty(), Set.of(TOPIC), assignment);
    }

    private static GroupSpecImpl spec(Map<String, MemberSubscriptionAndAssignmentImpl> members) {
        Map<Integer, String> owners = new HashMap<>();
        members.forEach((id, member) -> member.partitions().getOrDefault(TOPIC, Set.of()).forEach(partition -> owners.put(partition, id)));
        return new GroupSpecImpl(members, SubscriptionType.HOMOGENEOUS, Map.of(TOPIC, owners));
    }

    /** Two medians: of the first rounds, as many as the planner's own bench makes, and of many after as many to warm up. */
    private static GroupAssignment measure(int servers, int partitions, String what, GroupSpec group) {
        SubscribedTopicDescriber describer = new SubscribedTopicDescriber() {
            public int numPartitions(Uuid topic) { return partitions; }
            public Set<String> racksForPartition(Uuid topic, int partition) { return Set.of(); }
        };
        GroupAssignment result = null;
        int rounds = partitions > 100_000 ? 30 : 200;
        List<Long> times = new ArrayList<>();
        for (int round = 0; round < 2 * rounds; round++) {
            long began = System.nanoTime();
            result = ASSIGNOR.assign(group, describer);
            times.add(System.nanoTime() - began);
        }
        double first = median(times.subList(0, 9)), warm = median(times.subList(rounds, 2 * rounds));
        long owned = result.members().values().stream().mapToLong(member -> member.partitions().getOrDefault(TOPIC, Set.of()).size()).sum();
        if (owned != partitions) throw new IllegalStateException(owned + " of " + partitions + " partitions are assigned");
        System.out.println(servers + " × " + partitions + ": " + what + "\t" + first + "\t" + warm);
        return result;
    }

    /** In milliseconds. */
    private static double median(List<Long> times) {
        return times.stream().sorted().skip(times.size() / 2).findFirst().get() / 1e6;
    }
}
