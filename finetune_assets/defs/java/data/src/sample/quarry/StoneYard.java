/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.quarry;

import java.time.Clock;
import java.time.LocalDate;
import java.time.Period;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * Keeps the blocks of the quarry in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the quarry has one desk.
 */
public class StoneYard {

  private final Map<String, Block> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public StoneYard(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a block.
   *
   * @param block what is to be kept
   * @throws IllegalStateException when its chisel is already taken
   */
  @ChangesBlock("a block came in")
  public void register(Block block) {
    if (entries.putIfAbsent(block.chisel(), block) != null) {
      throw new IllegalStateException("chisel is taken: " + block.chisel());
    }
  }

  /** Adds up the tons of stone of all blocks in the books. */
  public int totalTons() {
    return entries.values().stream().mapToInt(Block::tons).sum();
  }

  /**
   * Lists what stands in one bench.
   *
   * @param bench the bench to look at, in the spelling of the books
   * @return its blocks, those with the most tons of stone first
   */
  public List<Block> inBench(String bench) {
    return entries.values().stream()
        .filter(entry -> entry.bench().equals(bench))
        .sorted(Comparator.comparingInt(Block::tons).reversed())
        .toList();
  }

  /** Works out how many tons of stone a block has on average, for each bench. */
  public Map<String, Double> averageByBench() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Block::bench, TreeMap::new, Collectors.averagingInt(Block::tons)));
  }

  /**
   * Finds the blocks that have been kept for too long.
   *
   * @param limit how long a block may stay
   * @return the chisel of each that was entered before that, sorted
   */
  public SortedSet<String> overdueBlocks(Period limit) {
    LocalDate oldestBlock = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdueBlocks = new TreeSet<>();
    for (Block block : entries.values()) {
      if (block.since().isBefore(oldestBlock)) {
        overdueBlocks.add(block.chisel());
      }
    }
    return overdueBlocks;
  }

  public Map<Boolean, Long> countBySize(int limit) {
    return entries.values().stream()
        .collect(Collectors.partitioningBy(entry -> entry.tons() > limit, Collectors.counting()));
  }

  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<Block> newest() {
    return entries.values().stream().max(Comparator.comparing(Block::since));
  }
}
