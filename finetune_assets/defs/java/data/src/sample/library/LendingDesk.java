/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.library;

import java.time.Clock;
import java.time.LocalDate;
import java.time.Period;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * Keeps the loans of the library in memory and answers what the people there ask every day.
 *
 * <p>Not safe for several threads: the library has one desk.
 */
public class LendingDesk {

  private final Map<String, Loan> entries = new TreeMap<>();
  private final Clock clock;

  /**
   * Opens the books.
   *
   * @param clock tells the day; a test brings a fixed one
   */
  public LendingDesk(Clock clock) {
    this.clock = clock;
  }

  public Clock getClock() {
    return clock;
  }

  /**
   * Enters a loan.
   *
   * @param loan what is to be kept
   * @throws IllegalStateException when its barcode is already taken
   */
  @ChangesLoan("a loan came in")
  public void register(Loan loan) {
    if (entries.putIfAbsent(loan.barcode(), loan) != null) {
      throw new IllegalStateException("barcode is taken: " + loan.barcode());
    }
  }

  /** Adds up the pages of all loans in the books. */
  public int totalPages() {
    return entries.values().stream().mapToInt(Loan::pages).sum();
  }

  /**
   * Lists what stands in one branch.
   *
   * @param branch the branch to look at, in the spelling of the books
   * @return its loans, those with the most pages first
   */
  public List<Loan> inBranch(String branch) {
    return entries.values().stream()
        .filter(entry -> entry.branch().equals(branch))
        .sorted(Comparator.comparingInt(Loan::pages).reversed())
        .toList();
  }

  /** Works out how many pages a loan has on average, for each branch. */
  public Map<String, Double> averageByBranch() {
    return entries.values().stream()
        .collect(Collectors.groupingBy(
            Loan::branch, TreeMap::new, Collectors.averagingInt(Loan::pages)));
  }

  /**
   * Finds the loans that have been kept for too long.
   *
   * @param limit how long a loan may stay
   * @return the barcode of each that was entered before that, sorted
   */
  public SortedSet<String> overdueLoans(Period limit) {
    LocalDate oldestLoan = LocalDate.now(clock).minus(limit);
    SortedSet<String> overdueLoans = new TreeSet<>();
    for (Loan loan : entries.values()) {
      if (loan.since().isBefore(oldestLoan)) {
        overdueLoans.add(loan.barcode());
      }
    }
    return overdueLoans;
  }

  /**
   * Takes a loan apart from the others when something is wrong with it.
   *
   * @param barcode which loan
   * @param branch the branch that is set aside for such cases
   * @return the loan as it was before, or nothing when nobody knows it
   */
  @ChangesLoan("set aside")
  public Optional<Loan> isolate(String barcode, String branch) {
    Loan before = entries.get(barcode);
    if (before == null) {
      return Optional.empty();
    }
    entries.put(barcode, new Loan(barcode, branch, before.pages(), before.since()));
    return Optional.of(before);
  }

  /**
   * Hands out pages until a demand is met, smallest loans first, and strikes out what is used up.
   *
   * @param demand how many pages are asked for
   * @return how many could not be given
   */
  public int settle(int demand) {
    List<Loan> byAmount = new ArrayList<>(entries.values());
    byAmount.sort(Comparator.comparingInt(Loan::pages));
    int open = demand;
    for (Loan entry : byAmount) {
      if (open < entry.pages()) {
        break;
      }
      open -= entry.pages();
      entries.remove(entry.barcode());
    }
    return open;
  }

  /** Returns one page of the loans, counted from zero; a page behind the last loan is empty. */
  public List<Loan> pageOfLoans(int number, int loansPerPage) {
    long firstLoan = (long) number * loansPerPage;
    return entries.values().stream().skip(firstLoan).limit(loansPerPage).toList();
  }

  public Map<Boolean, Long> countBySize(int limit) {
    return entries.values().stream()
        .collect(Collectors.partitioningBy(entry -> entry.pages() > limit, Collectors.counting()));
  }

  // Nobody documented this one; the review is to find it together with its neighbours.
  public Optional<Loan> newest() {
    return entries.values().stream().max(Comparator.comparing(Loan::since));
  }

  public boolean hasRoomFor(String branch, int more, int capacity) {
    int used = entries.values().stream()
        .filter(entry -> entry.branch().equals(branch))
        .mapToInt(Loan::pages)
        .sum();
    return used + more <= capacity;
  }
}
