/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.ropeworks;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a cable is asked for; it has grown with every wish of the ropeworks. */
public class CableForm {

  String serial;
  String drum;
  String applicant;
  String telephone;
  String remarks;
  int strands;
  LocalDate wantedFrom;

  CableForm(
      String serial, String drum, String applicant, String telephone, String remarks, int strands,
      LocalDate wantedFrom) {
    this.serial = serial;
    this.drum = drum;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.strands = strands;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return serial != null && drum != null && applicant != null && wantedFrom != null;
  }

  public Cable toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Cable(serial, drum, strands, first);
  }

  public String summary() {
    return "%s wants %d strands in %s".formatted(applicant, strands, drum);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (serial == null) {
      names.add("serial");
    }
    if (drum == null) {
      names.add("drum");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
